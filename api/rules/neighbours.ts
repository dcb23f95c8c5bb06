// Clusters and ObjectStores as others look at them: what they name, where they write, found by what rules ask for.
import type { PluginParameters } from '../parameters.ts';
import { archiveStanza, resolveParameters } from '../parameters.ts';
import { childOf } from '../schema.ts';
import { readClusterDraft } from './cluster-draft.ts';
import { locationOf } from './location.ts';

/** What a rule may want to know of another Cluster. */
export type ClusterFact = {
  namespace: string;
  name: string;
  deleting: boolean;
  /** It has an enabled entry of our plugin. */
  enablesPlugin: boolean;
  /** It has an in-tree store of the operator's own archiver. */
  hasInTreeStore: boolean;
  parameters: PluginParameters;
};

export type ClusterIndex = {
  /** Undefined also when several have the name: of files without a namespace, and of patches, nobody knows which is meant. */
  get(namespace: string, name: string): ClusterFact | undefined;
  inNamespace(namespace: string): readonly ClusterFact[];
  /** Clusters, of all namespaces, that archive as a server of that name. */
  archivingAs(serverName: string): readonly ClusterFact[];
};

export type StoreIndex = {
  has(namespace: string, name: string): boolean;
  /** Where the store is, in a form that compares; undefined when there is none or several, or it names no place. */
  location(namespace: string, name: string): string | undefined;
};

const clusterIndexes = new WeakMap<readonly unknown[], ClusterIndex>();
const clusterFacts = new WeakMap<object, ClusterFact>();

/**
 * Takes Clusters as JSON, of any shape. The index of a list is made once, and what is known of an object is kept as long
 * as the object: neither may be changed afterwards.
 */
export function indexClusters(clusters: readonly unknown[]): ClusterIndex {
  const made = clusterIndexes.get(clusters);
  if (made !== undefined) return made;
  const facts = clusters.map(factOf);
  const byName = Map.groupBy(facts, ({ namespace, name }) => `${namespace}/${name}`);
  const byNamespace = Map.groupBy(facts, ({ namespace }) => namespace);
  const byServer = Map.groupBy(facts, ({ parameters }) => parameters.archive?.serverName);
  const index: ClusterIndex = {
    get(namespace, name) {
      const [fact, another] = byName.get(`${namespace}/${name}`) ?? [];
      return another === undefined ? fact : undefined;
    },
    inNamespace: (namespace) => byNamespace.get(namespace) ?? [],
    archivingAs: (serverName) => byServer.get(serverName) ?? [],
  };
  clusterIndexes.set(clusters, index);
  return index;
}

function factOf(cluster: unknown): ClusterFact {
  const known = typeof cluster === 'object' && cluster !== null ? clusterFacts.get(cluster) : undefined;
  if (known !== undefined) return known;
  const draft = readClusterDraft(cluster);
  const fact: ClusterFact = {
    namespace: draft.metadata.namespace ?? '',
    name: draft.metadata.name,
    deleting: Boolean(childOf(childOf(cluster, 'metadata'), 'deletionTimestamp')),
    enablesPlugin: archiveStanza(draft) !== undefined,
    hasInTreeStore: draft.spec.inTreeStore !== undefined,
    parameters: resolveParameters(draft),
  };
  if (typeof cluster === 'object' && cluster !== null) clusterFacts.set(cluster, fact);
  return fact;
}

const storeIndexes = new WeakMap<readonly unknown[], StoreIndex>();

/** As `indexClusters`, of ObjectStores. */
export function indexStores(stores: readonly unknown[]): StoreIndex {
  const made = storeIndexes.get(stores);
  if (made !== undefined) return made;
  const byName = Map.groupBy(stores, (store) => {
    const metadata = childOf(store, 'metadata');
    return `${childOf(metadata, 'namespace') ?? ''}/${childOf(metadata, 'name')}`;
  });
  const locations = new Map(
    Array.from(byName, ([name, [store, another]]) => {
      const configuration = childOf(childOf(store, 'spec'), 'configuration');
      return [name, another === undefined ? locationOf(configuration) : undefined];
    }),
  );
  const index: StoreIndex = {
    has: (namespace, name) => locations.has(`${namespace}/${name}`),
    location: (namespace, name) => locations.get(`${namespace}/${name}`),
  };
  storeIndexes.set(stores, index);
  return index;
}
