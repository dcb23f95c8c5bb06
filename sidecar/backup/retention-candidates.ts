// What a retention policy is decided on, as it lies in the archive: keep annotations, and the age of what has failed or
// has no backup.info.
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import type { CatalogEntry } from './catalog.ts';
import { readKeeps } from './keep.ts';
import { lastSignOfLife, readManifest } from './manifest.ts';
import type { FolderFacts, RetentionCandidate } from './retention-plan.ts';
import { fromDate, type Micros } from './timestamp.ts';

/** Folders looked into at a time. */
const PARALLEL = 8;
/** The id of a backup, barman's and ours (object-store-layout.md §5.1). */
const BACKUP_ID = /^\d{8}T\d{6}$/;

/** A candidate for each entry, in their order. Throws StoreError. */
export async function lookAt(
  archive: Archive,
  entries: readonly CatalogEntry[],
  signal: AbortSignal,
  log: Log,
): Promise<RetentionCandidate[]> {
  const listed = entries.filter(({ state }) => state !== 'half').map(({ id }) => id);
  const keeps = await readKeeps(archive, listed, signal, log);
  const folders = new Map<string, FolderFacts>();
  const unsure = entries.filter(isUnsure).map(({ id }) => id);
  for (let from = 0; from < unsure.length; from += PARALLEL) {
    const some = unsure.slice(from, from + PARALLEL);
    const facts = await Promise.all(some.map((id) => lookIntoFolder(archive, id, signal)));
    for (const [index, id] of some.entries()) if (facts[index] !== undefined) folders.set(id, facts[index]);
  }
  return entries.map((entry) => ({ entry, keep: keeps.get(entry.id), folder: folders.get(entry.id) }));
}

/** Whether the age of its objects matters. */
function isUnsure(entry: CatalogEntry): boolean {
  return entry.state === 'half' || (entry.state === 'other' && entry.info.status === 'FAILED');
}

/** Our own record of the run may be written again long after the run: what it says counts, not its date. */
async function lookIntoFolder(archive: Archive, id: string, signal: AbortSignal): Promise<FolderFacts> {
  const { keys } = archive;
  const facts: FolderFacts = {
    changedAt: undefined,
    startedAt: undefined,
    deleting: false,
    isBackup: BACKUP_ID.test(id),
  };
  const note = (micros: Micros) => {
    if (facts.changedAt === undefined || micros > facts.changedAt) facts.changedAt = micros;
  };
  for await (const { key, lastModified } of archive.storage.list(keys.backup(id), { signal })) {
    if (key === keys.deletionMarker(id)) facts.deleting = true;
    if (key !== keys.manifest(id)) {
      note(fromDate(lastModified));
      continue;
    }
    const manifest = await readManifest(archive, id, signal);
    if (manifest === undefined) continue;
    facts.isBackup = true;
    facts.startedAt = fromDate(new Date(manifest.startedAt));
    note(fromDate(lastSignOfLife(manifest)));
  }
  return facts;
}
