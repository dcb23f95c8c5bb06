// Live copies hold every object of a kind as long as the process runs: of each only what somebody here reads.
import type { FeedObject } from './feed.ts';

/** Half of an object is the record of who wrote which field; a second copy of it is what kubectl last applied. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The parts of `spec` that decide about sidecars, stores and rights; the rest is how PostgreSQL runs. */
const CLUSTER_SPEC = new Set([
  ...['plugins', 'externalClusters', 'bootstrap', 'replica', 'backup', 'serviceAccountName', 'imagePullPolicy'],
  ...['imageName', 'imageCatalogRef', 'walStorage', 'tablespaces'],
]);

/** Cuts an ObjectStore down, in place. */
export function slimStore(object: FeedObject): void {
  const { metadata } = object as { metadata: { managedFields?: unknown; annotations?: Record<string, string> } };
  delete metadata.managedFields;
  if (metadata.annotations !== undefined) delete metadata.annotations[LAST_APPLIED];
}

/** Cuts a Cluster down, in place. Its status changes all the time, and whoever needs it has a Cluster of his own. */
export function slimCluster(object: FeedObject): void {
  slimStore(object);
  const cluster = object as { spec?: Record<string, unknown>; status?: unknown };
  delete cluster.status;
  for (const field of Object.keys(cluster.spec ?? {})) {
    if (!CLUSTER_SPEC.has(field)) delete cluster.spec?.[field];
  }
}
