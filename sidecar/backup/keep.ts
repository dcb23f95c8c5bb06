// Keep annotations: what somebody wants to have kept whatever the retention policy says (object-store-layout.md §9.3).
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { StoreError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';

/** `full`: recovery to any point from it on; `standalone`: to its own end only. */
export type Keep = 'full' | 'standalone';

/** Read at a time. */
const PARALLEL = 8;
const STANDALONE = 'standalone';
const STANDALONE_MD5 = createHash('md5').update(STANDALONE).digest('hex');

/**
 * Which of these backups are kept, and how. As barman reads it: exactly `standalone`, any other content is `full`, an
 * empty object keeps nothing.
 *
 * Barman writes the annotation of a destination with a trailing slash under a key with an empty element. Such a key is
 * seen in the answer to one listing and never asked for. A store that refuses that listing lets nobody write there
 * either: policies name the folder of the server.
 */
export async function readKeeps(
  archive: Archive,
  ids: readonly string[],
  signal: AbortSignal,
  log: Log,
): Promise<Map<string, Keep>> {
  const keeps = await readDoubled(archive, signal, log);
  for (let from = 0; from < ids.length; from += PARALLEL) {
    const some = ids.slice(from, from + PARALLEL);
    const found = await Promise.all(some.map((id) => readKeep(archive, id, signal)));
    for (const [index, keep] of found.entries()) {
      const id = some[index];
      if (id !== undefined && keep !== undefined && keeps.get(id) !== 'full') keeps.set(id, keep);
    }
  }
  return keeps;
}

async function readKeep(archive: Archive, id: string, signal: AbortSignal): Promise<Keep | undefined> {
  const found = await archive.storage.get(archive.keys.keepAnnotation(id), { signal });
  if (found === undefined) return undefined;
  if (found.info.sizeBytes !== STANDALONE.length) {
    found.body.destroy();
    return found.info.sizeBytes === 0 ? undefined : 'full';
  }
  return (await text(found.body)) === STANDALONE ? 'standalone' : 'full';
}

/** The content is known by its digest; one that the store does not tell (encrypted) counts as `full`, the safe side. */
async function readDoubled(archive: Archive, signal: AbortSignal, log: Log): Promise<Map<string, Keep>> {
  const { storage, keys } = archive;
  const keeps = new Map<string, Keep>();
  if (keys.doubled === undefined) return keeps;
  const { prefix, startAfter, folder, keptBackup } = keys.doubled;
  try {
    for await (const { key, sizeBytes, etag } of storage.list(prefix, { signal, startAfter })) {
      if (!key.startsWith(folder)) {
        if (key > folder) break;
        continue;
      }
      const id = keptBackup(key);
      if (id !== undefined && sizeBytes > 0) keeps.set(id, etag === STANDALONE_MD5 ? 'standalone' : 'full');
    }
  } catch (error) {
    if (!(error instanceof StoreError) || error.failure !== 'refused') throw error;
    log.info(
      { prefix, reason: error.message },
      'keep annotations under a key with an empty element are not looked for',
    );
  }
  return keeps;
}
