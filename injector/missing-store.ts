// What a person is told who named an ObjectStore that does not exist: which, where, who names it, what to do. Pure.
import type { Cluster } from '../api/kube.ts';
import { PARAMETER_OBJECT_STORE } from '../api/names.ts';
import { type PluginParameters, resolveParameters } from '../api/parameters.ts';
import { shortened } from './shape.ts';

/** Reason of the Event: `kubectl get events --field-selector reason=ObjectStoreMissing`. */
export const MISSING_STORE_REASON = 'ObjectStoreMissing';

const NAMED_BY: Record<keyof PluginParameters, (cluster: Cluster) => string> = {
  archive: () => 'spec.plugins',
  recovery: (cluster) => `spec.externalClusters of the recovery source ${cluster.spec.bootstrap?.recovery?.source}`,
  replicaSource: (cluster) => `spec.externalClusters of the replica source ${cluster.spec.replica?.source}`,
};

/** Stores are looked for in the Cluster's own namespace only, which is the mistake that names look right in. */
export function missingStoreMessage(cluster: Cluster, namespace: string, store: string): string {
  const parameters = resolveParameters(cluster);
  const roles = Object.entries(NAMED_BY).filter(
    ([role]) => parameters[role as keyof PluginParameters]?.objectStore === store,
  );
  const places = roles.map(([, place]) => `${PARAMETER_OBJECT_STORE} in ${place(cluster)}`).join(' and ');
  return (
    `ObjectStore ${shortened(store)} does not exist in namespace ${namespace}, and this Cluster waits for it: ` +
    `create it in that namespace, or correct ${places}`
  );
}
