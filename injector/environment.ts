// The sidecar's environment: first definition of a name wins (objectstore-and-injection.md §4.4).
import { createHash } from 'node:crypto';
import type { Cluster, EnvVar } from '../api/kube.ts';
import { CNPG_GROUP, CNPG_VERSION, SPOOL_DIRECTORY } from '../api/names.ts';
import { mismatch } from './shape.ts';

/**
 * Carries a digest of the arguments. The operator compares env but not args when it looks for drift, so without it a
 * changed log level would wait for the next restart (§4.5, #824 of the Go plugin).
 */
export const ARGS_DIGEST_VARIABLE = 'BARMAN_SIDECAR_ARGS_HASH';

/**
 * Merges in order of precedence: the main container, what the plugin needs to know, the lists of the stores. Later
 * entries of a name that is already there are dropped; `valueFrom` is copied whole.
 */
export function mergeEnvironment(main: EnvVar[], defaults: EnvVar[], stores: EnvVar[][]): EnvVar[] {
  const byName = new Map<string, EnvVar>();
  for (const entry of [...main, ...defaults, ...stores.flat()]) {
    if (!byName.has(entry.name)) byName.set(entry.name, entry);
  }
  return [...byName.values()];
}

/** What the sidecar is told by the plugin itself; group and version are those of the Cluster document received. */
export function pluginEnvironment(cluster: Cluster, namespace: string): EnvVar[] {
  const { group, version } = groupAndVersion(cluster);
  return [
    { name: 'NAMESPACE', value: namespace },
    { name: 'CLUSTER_NAME', value: cluster.metadata.name },
    { name: 'SPOOL_DIRECTORY', value: SPOOL_DIRECTORY },
    { name: 'CUSTOM_CNPG_GROUP', value: group },
    { name: 'CUSTOM_CNPG_VERSION', value: version },
  ];
}

/** The variable that makes Pods differ when the arguments do. */
export function argsDigest(args: readonly string[]): EnvVar {
  const value = createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 16);
  return { name: ARGS_DIGEST_VARIABLE, value };
}

function groupAndVersion(cluster: Cluster): { group: string; version: string } {
  if (!cluster.apiVersion) return { group: CNPG_GROUP, version: CNPG_VERSION };
  const [group, version, ...rest] = cluster.apiVersion.split('/');
  if (!group || !version || rest.length > 0) {
    const advice = `must be GROUP/VERSION, for example ${CNPG_GROUP}/${CNPG_VERSION}`;
    throw mismatch('apiVersion of the Cluster', cluster.apiVersion, advice);
  }
  return { group, version };
}
