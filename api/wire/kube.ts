// The few objects that the sidecar reads from the API server, through a short cache, and the one status it writes.
import { PreconditionError } from '../errors.ts';
import type { Cluster, Secret } from '../kube.ts';
import { OBJECTSTORE_GROUP, OBJECTSTORE_PLURAL, OBJECTSTORE_VERSION } from '../names.ts';
import type { ObjectStore } from '../objectstore.ts';
import { createKubeBackups, type KubeBackups } from './kube-backups.ts';
import {
  createKubeHttp,
  KubeError,
  type KubeHttp,
  type KubeHttpOptions,
  type KubeRequest,
  monotonicMs,
} from './kube-http.ts';
import { type RecoveryWindowPatch, writeRecoveryWindow } from './kube-status.ts';

/** Reads of the API server. Callers own what they get: it is always a copy. */
export type KubeReads = {
  /** Cached for 10 s. Throws PreconditionError when it is missing or not yet allowed. */
  objectStore(namespace: string, name: string): Promise<ObjectStore>;
  /** Cached for 10 s. Throws PreconditionError when it is missing or not yet allowed. */
  secret(namespace: string, name: string): Promise<Secret>;
  /** Read afresh. Throws PreconditionError when it is missing or not allowed. */
  cluster(namespace: string, name: string): Promise<Cluster>;
};

export type KubeClient = KubeReads & {
  /** Backup objects of the operator's API group. */
  backups: KubeBackups;
  /** Any other request; see KubeHttp. */
  request(request: KubeRequest): Promise<unknown>;
  /** Writes one server's entry of `status.serverRecoveryWindow` and touches no other: see writeRecoveryWindow. */
  patchObjectStoreStatus(
    namespace: string,
    name: string,
    serverName: string,
    window: RecoveryWindowPatch | null,
  ): Promise<void>;
  /** Releases idle connections. */
  close(): void;
};

export type KubeClientOptions = KubeHttpOptions & {
  cnpgGroup: string;
  cnpgVersion: string;
};

/** How long a cached ObjectStore or Secret is served (objectstore-and-injection.md §9.3). */
const CACHE_MS = 10_000;

/** Makes the client; nothing is read or opened before the first request. */
export function createKubeClient(options: KubeClientOptions): KubeClient {
  const http = createKubeHttp(options);
  const cache = createCache(options.now ?? monotonicMs);
  const cnpgApi = `/apis/${options.cnpgGroup}/${options.cnpgVersion}`;
  const storePath = (namespace: string, name: string): string =>
    objectPath(`/apis/${OBJECTSTORE_GROUP}/${OBJECTSTORE_VERSION}`, namespace, OBJECTSTORE_PLURAL, name);

  return {
    objectStore: (namespace, name) =>
      cache.read(storePath(namespace, name), (path) => read(http, 'ObjectStore', namespace, name, path)),
    secret: (namespace, name) =>
      cache.read(objectPath('/api/v1', namespace, 'secrets', name), (path) =>
        read(http, 'Secret', namespace, name, path),
      ),
    cluster: (namespace, name) =>
      read(http, 'Cluster', namespace, name, objectPath(cnpgApi, namespace, 'clusters', name)),
    backups: createKubeBackups(http, cnpgApi),
    async patchObjectStoreStatus(namespace, name, serverName, window) {
      const path = storePath(namespace, name);
      try {
        await writeRecoveryWindow(http, path, serverName, window);
      } catch (error) {
        throw explained(error, 'ObjectStore', `${namespace}/${name}`, 'status cannot be written');
      } finally {
        cache.drop(path);
      }
    },
    request: (request) => http.request(request),
    close: () => http.close(),
  };
}

function objectPath(api: string, namespace: string, plural: string, name: string): string {
  return `${api}/namespaces/${encodeURIComponent(namespace)}/${plural}/${encodeURIComponent(name)}`;
}

type Kind = 'ObjectStore' | 'Secret' | 'Cluster';
type ObjectOf = { ObjectStore: ObjectStore; Secret: Secret; Cluster: Cluster };

async function read<K extends Kind>(
  http: KubeHttp,
  kind: K,
  namespace: string,
  name: string,
  path: string,
): Promise<ObjectOf[K]> {
  try {
    // The API server has checked it against the schema of its kind.
    return (await http.request({ method: 'GET', path })) as ObjectOf[K];
  } catch (error) {
    throw explained(error, kind, `${namespace}/${name}`, 'cannot be read');
  }
}

const WHEN_MISSING: Record<Kind, string> = {
  ObjectStore: 'create it, or correct the parameter barmanObjectName of the Cluster',
  Secret: 'create it, or correct the reference in the ObjectStore',
  Cluster: 'it may have been deleted meanwhile',
};

const WHEN_FORBIDDEN: Record<Kind, string> = {
  ObjectStore:
    'the grants may not have arrived yet: the plugin writes the Role <cluster>-barman-cloud when the Cluster is next reconciled; retry, then look at the log of the plugin',
  Secret:
    'the grants may not have arrived yet: the plugin adds the Secret to the Role <cluster>-barman-cloud after the ObjectStore has changed; retry, then look at the log of the plugin',
  Cluster: 'the Role that the operator makes for the Cluster allows it: check the service account of the Pod',
};

/** Missing and forbidden objects become errors that say what to do; everything else stays as it is. */
function explained(error: unknown, kind: Kind, object: string, trouble: string): unknown {
  if (!(error instanceof KubeError)) return error;
  if (error.status === 404) {
    const message = `${kind} ${object} does not exist (${error.reason})`;
    return new PreconditionError(message, { cause: error, hint: WHEN_MISSING[kind] });
  }
  if (error.status === 403) {
    const message = `${kind} ${object}: ${trouble} (${error.reason})`;
    return new PreconditionError(message, { cause: error, hint: WHEN_FORBIDDEN[kind] });
  }
  return error;
}

/** Keeps what was read for a while; readers at the same time share one request; failures are not kept. */
function createCache(now: () => number) {
  const entries = new Map<string, { value: Promise<unknown>; readAt: number }>();
  return {
    async read<T extends object>(path: string, fetch: (path: string) => Promise<T>): Promise<T> {
      const entry = entries.get(path);
      if (entry !== undefined && now() - entry.readAt <= CACHE_MS) return structuredClone((await entry.value) as T);
      const fresh = { value: fetch(path), readAt: now() };
      entries.set(path, fresh);
      try {
        return structuredClone(await fresh.value);
      } catch (error) {
        if (entries.get(path) === fresh) entries.delete(path);
        throw error;
      }
    },
    drop(path: string): void {
      entries.delete(path);
    },
  };
}
