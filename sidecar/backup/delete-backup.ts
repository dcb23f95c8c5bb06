// Takes a backup out of the archive, so that at every moment what is listed is whole.
//
// | step                                | if it ends here                                                            |
// |-------------------------------------|----------------------------------------------------------------------------|
// | 1. a marker is put into the folder  | listed and whole; the marker means nothing while there is a backup.info    |
// | 2. backup.info goes                 | listed by nobody, barman included; the marker says that the rest may go    |
// | 3. everything else goes, by pages   | the same                                                                   |
// | 4. the marker goes                  | nothing is left                                                            |
//
// Barman deletes backup.info last, which leaves a backup that is listed and cannot be restored when it is interrupted
// (object-store-layout.md §9.2; §9.5 asks for the same, for the sake of a retry). The marker is what makes the retry
// safe here: without it a folder without backup.info would have to wait a day, as one that may be running.
import type { Archive } from '../store/archive.ts';
import type { PutOptions } from '../store/store.ts';
import { deleteObjects, type Refusals } from './delete-objects.ts';

const MARKER = 'The deletion of this backup has begun. What is left in this folder may go.\n';

/**
 * What became of it: `refused` when the store would not delete its backup.info, `finished` when a folder without one has
 * got one meanwhile. Nothing has changed in both cases.
 */
export type DeleteOutcome = 'deleted' | 'refused' | 'finished';

/**
 * Deletes a backup's whole folder. `listed`: it has a backup.info. What else the store refuses stays in the folder, with
 * the marker, and is counted in `refusals`. Throws StoreError.
 */
export async function deleteBackup(
  archive: Archive,
  id: string,
  options: { listed: boolean; put: Pick<PutOptions, 'tags' | 'encryption'>; refusals: Refusals; signal: AbortSignal },
): Promise<DeleteOutcome> {
  const { storage, keys } = archive;
  const { listed, put, refusals, signal } = options;
  const marker = keys.deletionMarker(id);
  const info = keys.backupInfo(id);
  if (listed) {
    await storage.put(marker, Buffer.from(MARKER), { ...put, signal });
    await deleteObjects(storage, [info], refusals, signal);
  }
  if ((await storage.head(info, { signal })) !== undefined) {
    if (listed) await storage.delete([marker], { signal });
    return listed ? 'refused' : 'finished';
  }
  const before = refusals.count;
  await deleteObjects(storage, keysBut(archive, id, marker, signal), refusals, signal);
  if (refusals.count === before) await deleteObjects(storage, [marker], refusals, signal);
  return 'deleted';
}

async function* keysBut(archive: Archive, id: string, marker: string, signal: AbortSignal): AsyncIterable<string> {
  for await (const { key } of archive.storage.list(archive.keys.backup(id), { signal })) if (key !== marker) yield key;
}
