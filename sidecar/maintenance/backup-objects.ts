// Takes away the Backup objects whose data is gone from the store.
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import type { KubeBackups } from '../../api/wire/kube-backups.ts';
import type { Log } from '../../api/wire/log.ts';
import type { CatalogEntry } from '../backup/catalog.ts';
import { destinationOf } from '../backup/destination.ts';
import type { Archive } from '../store/archive.ts';
import { type BackupRecord, isForgotten, placeOf, recordOf } from './forgotten.ts';

export type BackupObjects = {
  /**
   * The completed backups that objects tell of; undefined when they cannot be listed, which the log says. To be asked
   * BEFORE the catalog is read: a backup that ends in between would otherwise look like one whose data is gone.
   */
  list(cluster: Cluster, signal: AbortSignal): Promise<BackupRecord[] | undefined>;
  /**
   * Removes the objects of backups that are gone; `deleted` are those that were let go just now. Throws StoreError when the
   * store does not answer; an object that cannot be deleted is logged and tried again in the next round.
   */
  forget(round: ForgetRound, signal: AbortSignal): Promise<void>;
};

export type ForgetRound = {
  archive: Archive;
  /** Undefined: nothing is removed, but what is there is remembered. */
  records: readonly BackupRecord[] | undefined;
  catalog: readonly CatalogEntry[];
  deleted: readonly string[];
};

export type BackupObjectsDeps = {
  backups: KubeBackups;
  namespace: string;
  /** The endpoint of the environment, for ObjectStores that name none. */
  ambientEndpoint: string | undefined;
  log: Log;
};

/** Makes the remover. It remembers, for one place, the backups that it has seen there: one id each. */
export function createBackupObjects(deps: BackupObjectsDeps): BackupObjects {
  const { backups, namespace, ambientEndpoint, log } = deps;
  let remembered = { place: '', seen: new Set<string>() };

  return {
    async list(cluster, signal) {
      const records: BackupRecord[] = [];
      try {
        for await (const backup of backups.list(namespace, signal)) {
          const record = recordOf(backup, cluster);
          if (record !== undefined) records.push(record);
        }
        return records;
      } catch (error) {
        signal.throwIfAborted();
        log.warn({ error: messageOf(error) }, 'Backup objects cannot be listed; those without data stay for now');
        return undefined;
      }
    },
    async forget({ archive, records, catalog, deleted }, signal) {
      const place = placeOf(destinationOf(archive.objectStore, ambientEndpoint), archive.serverName);
      if (remembered.place !== place) remembered = { place, seen: new Set() };
      const { seen } = remembered;
      const ids = new Set(catalog.filter(({ state }) => state !== 'half').map(({ id }) => id));
      for (const id of [...ids, ...deleted]) seen.add(id);
      for (const record of records ?? []) {
        if (isForgotten(record, { place, ids, seen })) await forgetOne(archive, record, signal);
      }
      if (records === undefined) return;
      const named = new Set(records.map(({ backupId }) => backupId));
      for (const id of seen) if (!ids.has(id) && !named.has(id)) seen.delete(id);
    },
  };

  async function forgetOne(
    archive: Archive,
    { name, uid, backupId }: BackupRecord,
    signal: AbortSignal,
  ): Promise<void> {
    // The catalog may be minutes old by now; only a positive not-found counts.
    if ((await archive.storage.head(archive.keys.backupInfo(backupId), { signal })) !== undefined) return;
    const facts = { backup: name, backupId };
    try {
      const removed = await backups.remove(namespace, name, uid, signal);
      if (removed) log.info(facts, 'Backup object removed: its data is no longer in the store');
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ ...facts, error: messageOf(error) }, 'a Backup object without data could not be removed');
    }
  }
}
