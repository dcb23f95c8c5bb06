// The places of a Cluster that name our plugin: entries of spec.plugins, and plugins of external clusters with what they
// are for.
import type { Cluster } from '../kube.ts';
import { PLUGIN_NAME } from '../names.ts';
import type { ClusterDraft, StanzaDraft } from './cluster-draft.ts';

/** `role` says what an external cluster is for; an external cluster that nothing names has none. */
export type Entry = { path: string; stanza: StanzaDraft; role: 'archive' | 'recovery' | 'replica source' | undefined };

/** Entries of `spec.plugins` that are ours and enabled. */
export function enabledEntries(cluster: ClusterDraft): Entry[] {
  return pluginEntries(cluster).filter(({ stanza }) => stanza.enabled !== false);
}

/** Entries of `spec.plugins` that are ours. */
export function pluginEntries({ spec: { plugins } }: ClusterDraft): Entry[] {
  return plugins.flatMap((stanza, index) =>
    stanza.name === PLUGIN_NAME ? [{ path: `spec.plugins[${index}]`, stanza, role: 'archive' as const }] : [],
  );
}

/** Plugins of external clusters that are ours. The first external cluster of a name is the one that counts. */
export function externalEntries({ spec }: ClusterDraft): (Entry & { external: string })[] {
  const recovery = indexOf(spec.bootstrap?.recovery?.source, spec);
  const replica = indexOf(spec.replica?.source, spec);
  return spec.externalClusters.flatMap(({ name, plugin }, index) => {
    if (plugin?.name !== PLUGIN_NAME) return [];
    const sources = index === replica ? ('replica source' as const) : undefined;
    const role = index === recovery ? ('recovery' as const) : sources;
    return [{ path: `spec.externalClusters[${index}].plugin`, stanza: plugin, role, external: name }];
  });
}

function indexOf(source: string | undefined, spec: ClusterDraft['spec']): number | undefined {
  return source === undefined ? undefined : spec.externalClusters.findIndex(({ name }) => name === source);
}

/** Whether the Cluster follows another one, by the operator's own rule. */
export function isReplica({ metadata, spec: { replica } }: Pick<Cluster, 'metadata' | 'spec'>): boolean {
  if (replica === undefined) return false;
  if (replica.enabled !== undefined) return replica.enabled;
  return replica.primary !== undefined && replica.primary !== (replica.self ?? metadata.name);
}
