// What the operator process reads from the API server, as a port, and the short cache before it.
import { PreconditionError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import type { Feed, FeedObject } from './feed.ts';
import { shortened } from './shape.ts';

/** Both reads throw MissingObjectError for an object that is positively not there. */
export type StoreReads = {
  objectStore(namespace: string, name: string): Promise<ObjectStore>;
  cluster(namespace: string, name: string): Promise<Cluster>;
};

/** An object that a Cluster needs is positively not there; everything else that goes wrong is another error. */
export class MissingObjectError extends PreconditionError {
  readonly kind: string;
  readonly namespace: string;
  readonly objectName: string;

  constructor(kind: string, namespace: string, objectName: string, options?: { cause?: unknown }) {
    super(`${kind} ${namespace}/${shortened(objectName)} does not exist`, {
      ...options,
      hint: `create it, or correct the name where it is referred to`,
    });
    this.kind = kind;
    this.namespace = namespace;
    this.objectName = objectName;
  }
}

/** Reads stores side by side; the first failure is thrown. */
export async function readStores(
  reads: Pick<StoreReads, 'objectStore'>,
  namespace: string,
  names: string[],
): Promise<Map<string, ObjectStore>> {
  const stores = await Promise.all(names.map((name) => reads.objectStore(namespace, name)));
  return new Map(stores.map((store, index) => [names[index] ?? store.metadata.name, store]));
}

/** The live copies that reads go to first. */
export type LiveCopies = {
  stores: Pick<Feed<ObjectStore & FeedObject>, 'isLive' | 'get'>;
  clusters: Pick<Feed<Cluster & FeedObject>, 'isLive' | 'get'>;
};

/**
 * Reads from the live copies. What they do not know, or while they are not live, is asked of `direct`: an object may have
 * been made a moment ago.
 */
export function liveReads({ stores, clusters }: LiveCopies, direct: StoreReads): StoreReads {
  return {
    objectStore: async (namespace, name) =>
      (stores.isLive() ? stores.get(namespace, name) : undefined) ?? direct.objectStore(namespace, name),
    cluster: async (namespace, name) =>
      (clusters.isLive() ? clusters.get(namespace, name) : undefined) ?? direct.cluster(namespace, name),
  };
}

/** Age of the Go plugin's cache (objectstore-and-injection.md §9.3). */
const MAX_AGE_MS = 10_000;

/** Beyond this many entries the oldest goes, so that memory does not grow with the objects ever asked for. */
const MAX_ENTRIES = 5_000;

/**
 * Keeps what was read for 10 s and joins reads that run at the same time. Callers share the objects and must not change
 * them. Failures are not kept, so that an ObjectStore made a moment ago is found by the next try.
 */
export function cacheReads(source: StoreReads, options: { now?: () => number } = {}): StoreReads {
  const now = options.now ?? Date.now;
  return {
    objectStore: remember((namespace, name) => source.objectStore(namespace, name), now),
    cluster: remember((namespace, name) => source.cluster(namespace, name), now),
  };
}

type Read<T> = (namespace: string, name: string) => Promise<T>;

function remember<T>(read: Read<T>, now: () => number): Read<T> {
  const entries = new Map<string, { at: number; value: Promise<T> }>();
  return (namespace, name) => {
    const key = `${namespace}/${name}`;
    const found = entries.get(key);
    if (found !== undefined && now() - found.at <= MAX_AGE_MS) return found.value;
    const entry = { at: now(), value: read(namespace, name) };
    entries.delete(key);
    entries.set(key, entry);
    const [oldest] = entries.keys();
    if (entries.size > MAX_ENTRIES && oldest !== undefined) entries.delete(oldest);
    entry.value.catch(() => {
      if (entries.get(key) === entry) entries.delete(key);
    });
    return entry.value;
  };
}
