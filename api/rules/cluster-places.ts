// Where a Cluster writes and reads, and who else does (rules CL3, CL10, CL10b, CL11, CL13, CL19).
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, PARAMETER_OBJECT_STORE } from '../names.ts';
import { resolveParameters, type StoreReference } from '../parameters.ts';
import type { ClusterDraft } from './cluster-draft.ts';
import { enabledEntries, externalEntries, isReplica } from './cluster-entries.ts';
import { isSamePlace, locationOf, type Place } from './location.ts';
import type { Finding, RuleContext } from './rule.ts';
import { show } from './show.ts';
import type { Surroundings } from './surroundings.ts';

type Context = RuleContext<ClusterDraft>;

export function missingStores(cluster: ClusterDraft, { around: { stores, complete } }: Context): Finding[] {
  const namespace = namespaceOf(cluster);
  if (stores === undefined || !complete) return [];
  const named = [
    ...enabledEntries(cluster).slice(-1),
    ...externalEntries(cluster).filter(({ role }) => role !== undefined),
  ];
  return named.flatMap(({ path, stanza }) => {
    const name = stanza.parameters?.[PARAMETER_OBJECT_STORE];
    if (!name || stores.has(namespace, name)) return [];
    const advice = `not in namespace ${namespace} yet; the Cluster waits for it`;
    return [
      {
        path: `${path}.parameters.${PARAMETER_OBJECT_STORE}`,
        found: show(name),
        advice,
        offending: name,
        reference: true,
      },
    ];
  });
}

/**
 * | operation | skipEmptyWalArchiveCheck | archive is the recovery source |
 * |---|---|---|
 * | create | not `enabled` | error: the operator's check would end the bootstrap |
 * | create | `enabled` | warning: a third of all users live so |
 * | update | not `enabled` | warning |
 * | update | `enabled` | nothing |
 */
export function archiveIntoSource(cluster: ClusterDraft, { operation, around }: Context): Finding[] {
  const { archive, recovery } = placesOf(cluster, around);
  if (archive === undefined || recovery === undefined || !isSamePlace(archive, recovery)) return [];
  const skips = cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] === 'enabled';
  if (operation === 'UPDATE' && skips) return [];
  const advice = skips
    ? 'it recovers from there, too; another serverName keeps the two apart'
    : 'the restored Cluster would write into its own source; use another serverName or store';
  return [
    { ...archiveFinding(cluster, archive, advice), ...(skips || operation === 'UPDATE' ? { warnOnly: true } : {}) },
  ];
}

export function archiveIntoReplicaSource(cluster: ClusterDraft, { around }: Context): Finding[] {
  const { archive, replicaSource } = placesOf(cluster, around);
  if (!isReplica(cluster) || archive === undefined || replicaSource === undefined) return [];
  if (!isSamePlace(archive, replicaSource)) return [];
  const advice = 'a replica Cluster cannot archive into its source; use another serverName or store';
  return [archiveFinding(cluster, archive, advice)];
}

export function sharedArchive(cluster: ClusterDraft, { around }: Context): Finding[] {
  const { archive } = placesOf(cluster, around);
  if (archive === undefined || around.clusters === undefined) return [];
  const others = around.clusters
    .archivingAs(archive.serverName)
    .filter((other) => !other.deleting && !isSelf(cluster, other))
    .filter((other) => {
      const place = placeOf(other.parameters.archive, other.namespace, around);
      return place !== undefined && isSamePlace(archive, place);
    });
  const near = others.find(({ namespace }) => namespace === archive.namespace);
  const findings: Finding[] = [];
  if (near !== undefined) {
    const advice = `Cluster ${near.name} writes there, WAL would be mixed; use another serverName or store`;
    findings.push(archiveFinding(cluster, archive, advice));
  }
  if (others.some(({ namespace }) => namespace !== archive.namespace)) {
    const advice = 'a Cluster of another namespace writes there; use another serverName';
    findings.push({ ...archiveFinding(cluster, archive, advice), warnOnly: true });
  }
  return findings;
}

export function inTreeBeside(cluster: ClusterDraft, { around }: Context): Finding[] {
  const { archive } = placesOf(cluster, around);
  const { inTreeStore } = cluster.spec;
  // Of a declared archiver beside an in-tree store the operator refuses all.
  if (archive === undefined || inTreeStore === undefined) return [];
  if (enabledEntries(cluster).some(({ stanza }) => stanza.isWALArchiver === true)) return [];
  const server = inTreeStore.serverName || cluster.metadata.name;
  const same =
    archive.location !== undefined && archive.location === locationOf(inTreeStore) && archive.serverName === server;
  const path = 'spec.backup.barmanObjectStore';
  const found = `it beside the plugin`;
  if (same) {
    const advice = 'both write to one place; remove spec.backup.barmanObjectStore';
    return [{ path, found, advice, offending: [archive.location, server] }];
  }
  const advice = 'every WAL file is sent twice; remove spec.backup.barmanObjectStore';
  return [{ path, found, advice, warnOnly: true }];
}

export function movedArchive(cluster: ClusterDraft, { old, around }: Context): Finding[] {
  const now = placesOf(cluster, around).archive;
  const before = old === undefined ? undefined : placesOf(old, around).archive;
  if (now === undefined || before === undefined || isSamePlace(now, before)) return [];
  const advice = `earlier backups stay at ${describe(before)}; take a new one`;
  return [archiveFinding(cluster, now, advice)];
}

function archiveFinding(cluster: ClusterDraft, archive: Place, advice: string): Finding {
  const path = `${enabledEntries(cluster).at(-1)?.path ?? 'spec.plugins'}.parameters`;
  return { path, found: describe(archive), advice, offending: [archive.objectStore, archive.serverName, advice] };
}

function describe({ objectStore, serverName }: StoreReference): string {
  return `server ${show(serverName)} in ${show(objectStore)}`;
}

function placesOf(cluster: ClusterDraft, around: Surroundings) {
  const { archive, recovery, replicaSource } = resolveParameters(cluster);
  const namespace = namespaceOf(cluster);
  return {
    archive: placeOf(archive, namespace, around),
    recovery: placeOf(recovery, namespace, around),
    replicaSource: placeOf(replicaSource, namespace, around),
  };
}

function placeOf(
  reference: StoreReference | undefined,
  namespace: string,
  { stores }: Surroundings,
): Place | undefined {
  if (reference === undefined) return undefined;
  return { ...reference, namespace, location: stores?.location(namespace, reference.objectStore) };
}

function namespaceOf({ metadata }: ClusterDraft): string {
  return metadata.namespace ?? '';
}

function isSelf({ metadata }: ClusterDraft, other: { namespace: string; name: string }): boolean {
  return other.name === metadata.name && other.namespace === (metadata.namespace ?? '');
}
