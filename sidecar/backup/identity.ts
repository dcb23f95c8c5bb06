// How a base backup is called (object-store-layout.md §5.1).
import type { Archive } from '../store/archive.ts';

export type BackupIdentity = {
  /** `20261122T073041`: its folder, in UTC. */
  id: string;
  /** `backup-20261122073041` */
  name: string;
};

/** An identity for a backup that starts now: the first second, from now on, whose folder is empty. */
export async function chooseIdentity(archive: Archive, now: Date, signal: AbortSignal): Promise<BackupIdentity> {
  for (let seconds = 0; ; seconds++) {
    const digits = new Date(now.getTime() + seconds * 1000).toISOString().replaceAll(/\D/g, '').slice(0, 14);
    const id = `${digits.slice(0, 8)}T${digits.slice(8)}`;
    if (await isFree(archive, id, signal)) return { id, name: `backup-${digits}` };
  }
}

async function isFree(archive: Archive, id: string, signal: AbortSignal): Promise<boolean> {
  for await (const _ of archive.storage.list(archive.keys.backup(id), { signal })) return false;
  return true;
}
