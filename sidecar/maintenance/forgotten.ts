// Which Backup objects tell of data that is gone (objectstore-and-injection.md §9.4 step 4, §12). Pure.
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';

/** A completed backup of ours, as its object tells of it. */
export type BackupRecord = {
  name: string;
  uid: string;
  backupId: string;
  /** Where it went; undefined in objects that the Go plugin's backups have left. */
  place: string | undefined;
};

/** What is known of the place that the Cluster uses now. */
export type KnownPlace = {
  place: string;
  /** Backups that have a `backup.info` there. */
  ids: ReadonlySet<string>;
  /** Backups that this process has seen there, also before they were deleted. */
  seen: ReadonlySet<string>;
};

/** One server of one destination. */
export function placeOf(destination: string, serverName: string): string {
  return `${destination}, server ${serverName}`;
}

/** The record in a Backup object; undefined unless it is a completed backup of this very Cluster that we have taken. */
export function recordOf(backup: Backup, cluster: Cluster): BackupRecord | undefined {
  const { metadata, spec, status } = backup;
  const { backupId, pluginMetadata = {} } = status ?? {};
  const isOurs =
    spec.cluster.name === cluster.metadata.name &&
    pluginMetadata.pluginName === PLUGIN_NAME &&
    Boolean(cluster.metadata.uid) &&
    pluginMetadata.clusterUID === cluster.metadata.uid;
  const isCompleted = status?.phase === 'completed' && status.method === 'plugin';
  if (!isOurs || !isCompleted || !backupId || !metadata.uid || metadata.deletionTimestamp) return undefined;
  const { destination, serverName } = pluginMetadata;
  const place = destination && serverName ? placeOf(destination, serverName) : undefined;
  return { name: metadata.name, uid: metadata.uid, backupId, place };
}

/**
 * The Go plugin compares ids with the present place only: a Cluster that moves to another store or server loses its whole
 * history. So the place comes first:
 *
 * | `backup.info` in the present place | recorded place | seen there by this process | object                     |
 * |------------------------------------|----------------|----------------------------|----------------------------|
 * | yes                                | any            |                            | stays                      |
 * | no                                 | the present    |                            | goes                       |
 * | no                                 | another        |                            | stays: history             |
 * | no                                 | none           | yes                        | goes: it was deleted there |
 * | no                                 | none           | no                         | stays                      |
 *
 * The last row is the cautious one: an object of the Go plugin does not say where its data is, and one too many does no
 * harm. Retention deletes in the process that then looks here, so what retention lets go has been seen.
 */
export function isForgotten({ backupId, place }: BackupRecord, known: KnownPlace): boolean {
  if (known.ids.has(backupId)) return false;
  return place === undefined ? known.seen.has(backupId) : place === known.place;
}
