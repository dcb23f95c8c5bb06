// Which stores a Cluster names, by role (objectstore-and-injection.md §3).
import type { Cluster, PluginStanza } from './kube.ts';
import { PARAMETER_OBJECT_STORE, PARAMETER_SERVER_NAME, PLUGIN_NAME } from './names.ts';

/** One place in one store: where a server's WAL and base backups live. */
export type StoreReference = { objectStore: string; serverName: string };

/** The three roles a store can have for a Cluster. A role is undefined when no store is named for it. */
export type PluginParameters = {
  archive: StoreReference | undefined;
  recovery: StoreReference | undefined;
  replicaSource: StoreReference | undefined;
};

/**
 * Resolves the parameters of a Cluster. Disabled entries of `spec.plugins` are ignored, the last enabled one counts;
 * an empty or missing `serverName` is the name of this Cluster.
 */
export function resolveParameters(cluster: Cluster): PluginParameters {
  return {
    archive: referenceOf(archiveStanza(cluster), cluster),
    recovery: referenceOf(externalStanza(cluster, cluster.spec.bootstrap?.recovery?.source), cluster),
    replicaSource: referenceOf(externalStanza(cluster, cluster.spec.replica?.source), cluster),
  };
}

/** The enabled entry of `spec.plugins` that names our plugin; the last one when there are several. */
export function archiveStanza(cluster: Cluster): PluginStanza | undefined {
  return cluster.spec.plugins?.findLast((stanza) => stanza.name === PLUGIN_NAME && stanza.enabled !== false);
}

/** Names of all stores that a Cluster refers to, sorted, each once. */
export function referencedStores(parameters: PluginParameters): string[] {
  const names = [parameters.archive, parameters.recovery, parameters.replicaSource]
    .filter((reference) => reference !== undefined)
    .map((reference) => reference.objectStore);
  return [...new Set(names)].sort();
}

/** The plugin of an external cluster, when it is ours; `enabled` is not looked at, as with the Go plugin. */
export function externalStanza(cluster: Cluster, source: string | undefined): PluginStanza | undefined {
  if (source === undefined) return undefined;
  const plugin = cluster.spec.externalClusters?.find((external) => external.name === source)?.plugin;
  return plugin?.name === PLUGIN_NAME ? plugin : undefined;
}

function referenceOf(stanza: PluginStanza | undefined, cluster: Cluster): StoreReference | undefined {
  const objectStore = stanza?.parameters?.[PARAMETER_OBJECT_STORE];
  if (!objectStore) return undefined;
  return { objectStore, serverName: stanza?.parameters?.[PARAMETER_SERVER_NAME] || cluster.metadata.name };
}
