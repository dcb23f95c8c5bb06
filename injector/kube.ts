// The API server as the operator process uses it: the only file that knows the generated client.
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import {
  ApiException,
  CustomObjectsApi,
  createConfiguration,
  KubeConfig,
  ServerConfiguration,
} from '@kubernetes/client-node';
import { InvalidInputError, messageOf, PreconditionError } from '../api/errors.ts';
import { OBJECTSTORE_GROUP, OBJECTSTORE_PLURAL, OBJECTSTORE_VERSION } from '../api/names.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import type { AccessPort } from './access.ts';
import { MissingObjectError, type StoreReads } from './reads.ts';

export type OperatorKubeOptions = {
  /** A kubeconfig file; without it the service account of the Pod is used. */
  kubeconfig: string | undefined;
  host: string;
  port: number;
  /** Holds `ca.crt` and `token`; the token is read again as it rotates. */
  serviceAccountFolder: string;
  cnpgGroup: string;
  cnpgVersion: string;
};

/** One request, from start to end. A hook may take 30 s, and the operator gives loading the plugins 5 s (§2.3). */
const TIMEOUT_MS = 10_000;

/** The package exports the types of its middleware only inside others. */
type Middleware = NonNullable<NonNullable<Parameters<typeof createConfiguration>[0]>['promiseMiddleware']>[number];

type Resource = { group: string; version: string; plural: string; kind: string };

const STORES = {
  group: OBJECTSTORE_GROUP,
  version: OBJECTSTORE_VERSION,
  plural: OBJECTSTORE_PLURAL,
  kind: 'ObjectStore',
};
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' };
const ACCESS = {
  Role: { ...RBAC, plural: 'roles', kind: 'Role' },
  RoleBinding: { ...RBAC, plural: 'rolebindings', kind: 'RoleBinding' },
};

/**
 * Makes the client; nothing is asked before the first call. Throws InvalidInputError when the kubeconfig is not usable.
 * Calls throw MissingObjectError, PreconditionError when the API server forbids them, and KubeError otherwise.
 */
export function createOperatorKube(options: OperatorKubeOptions): StoreReads & AccessPort {
  const api = createApi(options);
  const clusters = { group: options.cnpgGroup, version: options.cnpgVersion, plural: 'clusters', kind: 'Cluster' };

  return {
    objectStore: (namespace, name) => read(STORES, namespace, name),
    cluster: (namespace, name) => read(clusters, namespace, name),
    async find(kind, namespace, name) {
      try {
        return await read(ACCESS[kind], namespace, name);
      } catch (error) {
        if (error instanceof MissingObjectError) return undefined;
        throw error;
      }
    },
    create: (object) =>
      unlessConflict(() =>
        call('create', ACCESS[object.kind], object.metadata, (to) =>
          api.createNamespacedCustomObject({ ...to, body: object }),
        ),
      ),
    replace: (object) =>
      unlessConflict(() =>
        call('update', ACCESS[object.kind], object.metadata, (to) =>
          api.replaceNamespacedCustomObject({ ...to, name: object.metadata.name, body: object }),
        ),
      ),
  };

  function read(resource: Resource, namespace: string, name: string) {
    return call('read', resource, { namespace, name }, (to) => api.getNamespacedCustomObject({ ...to, name }));
  }
}

type Place = { group: string; version: string; plural: string; namespace: string };

/** What the client answers is typed by nobody: the API server has checked it against the schema of its kind. */
async function call<T>(
  verb: string,
  resource: Resource,
  object: { namespace: string; name: string },
  send: (place: Place) => Promise<T>,
): Promise<T> {
  const { group, version, plural } = resource;
  try {
    return await send({ group, version, plural, namespace: object.namespace });
  } catch (error) {
    throw explained(error, verb, resource, object);
  }
}

/** False when somebody else was faster: the object exists already, or has changed since it was read. */
async function unlessConflict(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.status === 409) return false;
    throw error;
  }
}

function explained(error: unknown, verb: string, resource: Resource, object: { namespace: string; name: string }) {
  const { kind, plural } = resource;
  const { namespace, name } = object;
  const status = error instanceof ApiException ? error.code : undefined;
  if (status === 404) return new MissingObjectError(kind, namespace, name, { cause: error });
  const reason = reasonOf(error);
  if (status === 403) {
    const hint = `allow the plugin's service account to ${verb} ${plural}`;
    return new PreconditionError(`${kind} ${namespace}/${name}: ${reason}`, { cause: error, hint });
  }
  const facts = { method: verb, path: `${plural} ${namespace}/${name}`, reason };
  return new KubeError(status === undefined ? facts : { ...facts, status }, { cause: error });
}

/** The API server's own words; the client's message would repeat headers and body. */
function reasonOf(error: unknown): string {
  if (!(error instanceof ApiException)) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return messageOf(cause);
  }
  try {
    const { message } = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    if (typeof message === 'string' && message !== '') return message;
  } catch {
    // No Status object: a proxy answered.
  }
  return error.code === 401 ? 'the API server does not accept our token' : 'refused without a reason';
}

function createApi(options: OperatorKubeOptions): CustomObjectsApi {
  const config = new KubeConfig();
  loadConfig(config, options);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new InvalidInputError('KUBECONFIG', options.kubeconfig, 'its current context must name one of its clusters');
  }
  return new CustomObjectsApi(
    createConfiguration({
      baseServer: new ServerConfiguration(cluster.server, {}),
      authMethods: { default: config },
      promiseMiddleware: [LIMIT],
    }),
  );
}

const LIMIT: Middleware = {
  async pre(context) {
    context.setSignal(AbortSignal.timeout(TIMEOUT_MS));
    return context;
  },
  post: async (context) => context,
};

function loadConfig(config: KubeConfig, options: OperatorKubeOptions): void {
  if (options.kubeconfig !== undefined) {
    try {
      config.loadFromFile(options.kubeconfig);
      return;
    } catch (error) {
      const advice = `cannot be used as a kubeconfig: ${messageOf(error)}`;
      throw new InvalidInputError('KUBECONFIG', options.kubeconfig, advice, { cause: error });
    }
  }
  const host = isIPv6(options.host) ? `[${options.host}]` : options.host;
  const folder = options.serviceAccountFolder;
  config.loadFromClusterAndUser(
    {
      name: 'in-cluster',
      server: `https://${host}:${options.port}`,
      caFile: join(folder, 'ca.crt'),
      skipTLSVerify: false,
    },
    { name: 'service-account', authProvider: { name: 'tokenFile', config: { tokenFile: join(folder, 'token') } } },
  );
}
