// What else there is in the cluster while one object is judged: a snapshot, taken before. Rules only read it. What could
// not be looked at is undefined, and rules that need it are silent then.
import type { ClusterIndex, StoreIndex } from './neighbours.ts';

export type Surroundings = {
  /** Clusters of all namespaces. */
  clusters?: ClusterIndex;
  /** ObjectStores of all namespaces. */
  stores?: StoreIndex;
  /** Of the Secrets that the object names: their keys, or null for one that is positively not there. */
  secretKeys?: ReadonlyMap<string, readonly string[] | null>;
  /** The Backup that a Cluster wants to recover from. */
  recoveryBackup?: unknown;
  /** Whether the namespace is going, with everything in it. */
  namespaceTerminates?: boolean;
  /** Whether what is not in the snapshot is not there; a folder of files is only part of what there is. */
  complete: boolean;
  /** References to objects that are not there refuse instead of warning. */
  strictReferences: boolean;
};

/** Nothing is known but the object itself. */
export const NOTHING_AROUND: Surroundings = { complete: false, strictReferences: false };
