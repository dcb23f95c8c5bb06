// What a backup leaves behind besides itself: the recovery window shows its end, well or badly, at once.
import { ConflictError, messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { resolveParameters } from '../../api/parameters.ts';
import type { Log } from '../../api/wire/log.ts';
import { listBackups } from '../backup/catalog.ts';
import type { Archive, Archives } from '../store/archive.ts';
import type { WindowReport } from './window-report.ts';

export type AfterBackupDeps = { archives: Archives; windows: WindowReport; log: Log };

/** The answer to the operator waits for the window no longer than this. */
const LIMIT_MS = 30_000;

/**
 * The same `take`, which then shows the window. What becomes of the window changes nothing about the backup's own answer.
 * A request that was turned away because another backup runs is no failed backup.
 */
export function showingWindow<Request extends { cluster: Cluster }, Taken>(
  deps: AfterBackupDeps,
  take: (request: Request) => Promise<Taken>,
): (request: Request) => Promise<Taken> {
  return async (request) => {
    try {
      const taken = await take(request);
      await quietly(deps, request.cluster, async (archive) => {
        const entries = await listBackups(archive, AbortSignal.timeout(LIMIT_MS));
        await deps.windows.publish(archive, entries);
      });
      return taken;
    } catch (error) {
      if (!(error instanceof ConflictError)) {
        const failedAt = new Date();
        await quietly(deps, request.cluster, (archive) => deps.windows.publishFailure(archive, failedAt));
      }
      throw error;
    }
  };
}

async function quietly(
  { archives, log }: AfterBackupDeps,
  cluster: Cluster,
  publish: (archive: Archive) => Promise<void>,
): Promise<void> {
  try {
    const { archive: reference } = resolveParameters(cluster);
    if (reference !== undefined) await publish(await archives.open(reference));
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'the recovery window could not be shown in the ObjectStore');
  }
}
