// Deletes archived WAL that no kept backup needs: folder by folder, page by page. Memory: one page of a listing and one
// batch of keys, however many files there are.
import type { Archive } from '../store/archive.ts';
import { parseStoredName } from '../wal/stored.ts';
import { deleteObjects, type Refusals } from './delete-objects.ts';
import { isUnneeded, mayHoldUnneeded, type WalCleanUpPlan } from './wal-clean-up-plan.ts';

/**
 * Returns how many objects are gone; what the store would not delete is in `refusals`. Objects that are no WAL files
 * stay. Throws StoreError.
 */
export async function cleanUpWal(
  archive: Archive,
  plan: WalCleanUpPlan,
  options: { refusals: Refusals; signal: AbortSignal },
): Promise<number> {
  if (!plan.clean) return 0;
  return deleteObjects(archive.storage, unneeded(archive, plan, options.signal), options.refusals, options.signal);
}

async function* unneeded(archive: Archive, plan: WalCleanUpPlan, signal: AbortSignal): AsyncIterable<string> {
  const { storage, keys } = archive;
  for await (const folder of storage.listFolders(keys.wals, { signal })) {
    if (!mayHoldUnneeded(folder.slice(keys.wals.length, -1), plan)) continue;
    for await (const { key } of storage.list(folder, { signal })) {
      const name = parseStoredName(key.slice(folder.length))?.name;
      if (name !== undefined && isUnneeded(name, plan)) yield key;
    }
  }
}
