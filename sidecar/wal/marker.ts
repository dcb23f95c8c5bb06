// The file in PGDATA that asks for the check for an empty archive (cnpg-i-contract.md §5.2, trap).
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, EMPTY_ARCHIVE_MARKER } from '../../api/names.ts';
import type { Log } from '../../api/wire/log.ts';

/**
 * Whether a request is to be checked:
 *
 * | request's field | annotation  | marker in PGDATA | check |
 * |-----------------|-------------|------------------|-------|
 * | true            | any         | any              | yes   |
 * | false           | any         | any              | no    |
 * | unset           | `enabled`   | any              | no    |
 * | unset           | not enabled | there            | yes   |
 * | unset           | not enabled | not there        | no    |
 */
export async function wantsEmptyArchive(
  pgdata: string,
  request: { cluster: Cluster; checkEmptyArchive: boolean | undefined },
): Promise<boolean> {
  if (request.checkEmptyArchive !== undefined) return request.checkEmptyArchive;
  if (request.cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] === 'enabled') return false;
  try {
    await access(join(pgdata, EMPTY_ARCHIVE_MARKER));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** The manager removes it much later; until then each request would ask for a check that finds our own files. */
export async function removeMarker({ pgdata, log }: { pgdata: string; log: Log }): Promise<void> {
  try {
    await rm(join(pgdata, EMPTY_ARCHIVE_MARKER), { force: true });
  } catch (error) {
    log.warn(`the file is stored, but ${EMPTY_ARCHIVE_MARKER} could not be removed: ${messageOf(error)}`);
  }
}
