// The API server as the operator process uses it, by the generated client.
import { PatchStrategy, setHeaderOptions } from '@kubernetes/client-node';
import type { Cluster } from '../api/kube.ts';
import { OBJECTSTORE_GROUP, OBJECTSTORE_PLURAL, OBJECTSTORE_VERSION } from '../api/names.ts';
import type { EventPort } from '../api/wire/events.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import type { AccessPort } from './access.ts';
import type { FeedObject, Informer } from './feed.ts';
import { type KubeAccess, kubeAccess, type OperatorKubeOptions, type Resource } from './kube-config.ts';
import { eventPort } from './kube-events.ts';
import { kubeFailure } from './kube-failure.ts';
import { createInformer } from './kube-informer.ts';
import { type LookUpPort, lookUpPort } from './kube-look-ups.ts';
import type { LeasePort } from './lease.ts';
import { MissingObjectError, type StoreReads } from './reads.ts';
import { LABEL_ROLE_CLUSTER, type Role } from './role.ts';
import { isObjectName } from './shape.ts';
import { slimCluster, slimStore } from './slim.ts';
import type { ControllerPort, StoreDocument } from './store-controller.ts';

export type ClusterDocument = Cluster & FeedObject;

export type OperatorKube = StoreReads &
  AccessPort &
  ControllerPort & {
    leases: LeasePort;
    events: EventPort;
    lookUps: LookUpPort;
    /** Informers of all namespaces; nothing is asked before they are started. */
    storeInformer(): Informer<StoreDocument>;
    clusterInformer(): Informer<ClusterDocument>;
  };

const STORES = {
  group: OBJECTSTORE_GROUP,
  version: OBJECTSTORE_VERSION,
  plural: OBJECTSTORE_PLURAL,
  kind: 'ObjectStore',
};
const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' };
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' };
const ACCESS = {
  Role: { ...RBAC, plural: 'roles', kind: 'Role' },
  RoleBinding: { ...RBAC, plural: 'rolebindings', kind: 'RoleBinding' },
};

/**
 * Makes the client; nothing is asked before the first call. Throws InvalidInputError when the kubeconfig is not usable.
 * Calls throw MissingObjectError, PreconditionError when the API server forbids them, and KubeError otherwise.
 */
export function createOperatorKube(options: OperatorKubeOptions): OperatorKube {
  const access: KubeAccess = kubeAccess(options);
  const { api } = access;
  const cnpg = { group: options.cnpgGroup, version: options.cnpgVersion };
  const clusters = { ...cnpg, plural: 'clusters', kind: 'Cluster' };

  return {
    storeInformer: () => createInformer<StoreDocument>(access, STORES, slimStore),
    clusterInformer: () => createInformer<ClusterDocument>(access, clusters, slimCluster),
    leases: {
      find: async (namespace, name) => unlessMissing(read(LEASES, namespace, name)),
      create: (lease) => create(LEASES, lease),
      replace: (lease) => replace(LEASES, lease),
    },
    events: eventPort(access),
    lookUps: lookUpPort(access, { ...cnpg, plural: 'backups', kind: 'Backup' }),
    labelledRoles: (namespace) => list<Role>(ACCESS.Role, namespace, LABEL_ROLE_CLUSTER),
    replaceRole: (role) => replace(ACCESS.Role, role),
    clusters: (namespace) => list<Cluster>(clusters, namespace),
    async annotate(cluster, annotations) {
      const { namespace = '', name } = cluster.metadata;
      const body = { metadata: { annotations } };
      await call('patch', clusters, { namespace, name }, (to) =>
        api.patchNamespacedCustomObject(
          { ...to, name, body },
          setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
        ),
      );
    },
    objectStore: (namespace, name) => readNamed(STORES, namespace, name),
    cluster: (namespace, name) => readNamed(clusters, namespace, name),
    find: (kind, namespace, name) => unlessMissing(read(ACCESS[kind], namespace, name)),
    create: (object) => create(ACCESS[object.kind], object),
    replace: (object) => replace(ACCESS[object.kind], object),
  };

  function create(resource: Resource, object: Named): Promise<boolean> {
    return unlessConflict(() =>
      call('create', resource, object.metadata, (to) => api.createNamespacedCustomObject({ ...to, body: object })),
    );
  }

  function replace(resource: Resource, object: Named): Promise<boolean> {
    const { name } = object.metadata;
    return unlessConflict(() =>
      call('update', resource, object.metadata, (to) =>
        api.replaceNamespacedCustomObject({ ...to, name, body: object }),
      ),
    );
  }

  async function list<T>(resource: Resource, namespace: string, labelSelector?: string): Promise<T[]> {
    const selector = labelSelector === undefined ? {} : { labelSelector };
    const { items } = await call('list', resource, { namespace, name: '' }, (to) =>
      api.listNamespacedCustomObject({ ...to, ...selector }),
    );
    return items;
  }

  /** Of names that people write: `.` would be another path, and answered with a list. */
  async function readNamed(resource: Resource, namespace: string, name: string) {
    if (!isObjectName(name)) throw new MissingObjectError(resource.kind, namespace, name);
    return read(resource, namespace, name);
  }

  function read(resource: Resource, namespace: string, name: string) {
    return call('read', resource, { namespace, name }, (to) => api.getNamespacedCustomObject({ ...to, name }));
  }
}

type Named = { metadata: { namespace: string; name: string } };
type Place = { group: string; version: string; plural: string; namespace: string };

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof MissingObjectError) return undefined;
    throw error;
  }
}

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
    const { kind } = resource;
    throw kubeFailure(error, { verb, kind, plural, ...object });
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
