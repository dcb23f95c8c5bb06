// The catalog: what the folders below `base/` say of themselves (object-store-layout.md §7.1).
import { CorruptError, messageOf } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { type BackupInfo, parseBackupInfo } from './info.ts';

export type CatalogEntry = { id: string } & (
  | {
      /** `done`: restorable by itself. `other`: readable, but failed, unfinished, incremental or a snapshot. */
      state: 'done' | 'other';
      info: BackupInfo;
    }
  /** No `backup.info`: still running, or died. */
  | { state: 'half' }
  /** Its `backup.info` cannot be read. */
  | { state: 'broken'; problem: string }
);

export type DoneEntry = Extract<CatalogEntry, { info: BackupInfo }> & { state: 'done' };

/** Read at a time. */
const PARALLEL = 8;
/** More is no `backup.info`. */
const LARGEST_INFO_BYTES = 4 * 1024 * 1024;

/**
 * Every folder below `base/`, by begin time and id; those without a begin time first. What cannot be read is marked and
 * logged, and never hides the others. Throws StoreError when the store does not answer.
 */
export async function listBackups(archive: Archive, signal: AbortSignal, log?: Log): Promise<CatalogEntry[]> {
  const { base } = archive.keys;
  const entries: CatalogEntry[] = [];
  let ids: string[] = [];
  const readAll = async () => {
    entries.push(...(await Promise.all(ids.map((id) => readEntry(archive, id, signal)))));
    ids = [];
  };
  for await (const folder of archive.storage.listFolders(base, { signal })) {
    const id = folder.slice(base.length, -1);
    // An object below `base//`: nobody's backup, and no key of it may be asked for.
    if (id !== '') ids.push(id);
    if (ids.length === PARALLEL) await readAll();
  }
  await readAll();
  for (const entry of entries) {
    if (entry.state === 'broken') log?.warn({ backupId: entry.id, problem: entry.problem }, 'skipping a broken backup');
    if (entry.state === 'half') log?.info({ backupId: entry.id }, 'skipping a backup without backup.info');
  }
  return entries.sort(byBegin);
}

/** Whether a backup can be restored by itself: finished, both times known, neither incremental nor a snapshot. */
export function isRestorable(info: BackupInfo): boolean {
  return (
    info.status === 'DONE' &&
    info.beginTime !== undefined &&
    info.endTime !== undefined &&
    info.parentBackupId === undefined &&
    info.snapshotsInfo === undefined
  );
}

async function readEntry(archive: Archive, id: string, signal: AbortSignal): Promise<CatalogEntry> {
  const found = await archive.storage.get(archive.keys.backupInfo(id), { signal });
  if (found === undefined) return { id, state: 'half' };
  if (found.info.sizeBytes > LARGEST_INFO_BYTES) {
    found.body.destroy();
    return { id, state: 'broken', problem: `backup.info has ${found.info.sizeBytes} bytes` };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of found.body) chunks.push(chunk);
  try {
    const info = parseBackupInfo(Buffer.concat(chunks).toString('utf8'));
    return { id, state: isRestorable(info) ? 'done' : 'other', info };
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    return { id, state: 'broken', problem: messageOf(error) };
  }
}

function byBegin(a: CatalogEntry, b: CatalogEntry): number {
  const [left, right] = [beginOf(a), beginOf(b)];
  if (left !== right) return left < right ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function beginOf(entry: CatalogEntry): bigint {
  return ('info' in entry ? entry.info.beginTime : undefined) ?? -1n;
}
