// A big cluster in the test API server: Clusters and ObjectStores with all that the API server would hold of them, and the
// Roles that earlier turns have made.
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { roleBindingOf, roleOf } from '../../injector/role.ts';
import release from '../../package.json' with { type: 'json' };
import type { KubeObject } from '../kube/objects.ts';
import { resourceOf } from '../kube/resources.ts';
import type { KubeApi } from '../kube-api.ts';
import type { HooksOptions } from './hooks-options.ts';

export type BigCluster = { clusters: Cluster[] };

/** Fills it, past the doors. */
export function fillCluster({ objects }: Pick<KubeApi, 'objects'>, options: HooksOptions): BigCluster {
  const { namespaces } = options;
  const create = (object: { kind?: string; metadata: object }, namespace: string): KubeObject =>
    objects.create(resourceOf(object.kind ?? ''), namespace, object as KubeObject);
  const stores = Array.from({ length: options.stores }, (_, index) => storeOf(index, namespaces));
  for (const store of stores) create(store, store.metadata.namespace ?? '');
  const clusters = Array.from({ length: options.clusters }, (_, index) => {
    const store = stores[index % stores.length] as ObjectStore;
    const namespace = store.metadata.namespace ?? '';
    const cluster = create(clusterOf(index, namespace, store.metadata.name), namespace) as unknown as Cluster;
    create(roleOf(cluster, [store], release.version), namespace);
    create(roleBindingOf(cluster, release.version), namespace);
    return cluster;
  });
  return { clusters };
}

function storeOf(index: number, namespaces: number): ObjectStore & { kind: string } {
  const keys = (key: string) => ({ name: `keys-${index}`, key });
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name: `store-${index}`, namespace: `team-${index % namespaces}` },
    spec: {
      configuration: {
        destinationPath: `s3://backups-${index}/`,
        endpointURL: 'https://s3.example.test',
        s3Credentials: { accessKeyId: keys('id'), secretAccessKey: keys('secret') },
        wal: { compression: 'gzip', maxParallel: 4 },
        data: { compression: 'gzip' },
      },
      retentionPolicy: '30d',
      instanceSidecarConfiguration: {
        retentionPolicyIntervalSeconds: 1800,
        logLevel: 'info',
        resources: { requests: { memory: '128Mi' }, limits: { memory: '512Mi' } },
      },
    },
  };
}

function clusterOf(index: number, namespace: string, barmanObjectName: string) {
  const name = `orders-${index}`;
  const instances = [1, 2, 3].map((serial) => `${name}-${serial}`);
  const parameters = Object.fromEntries(
    Array.from({ length: 30 }, (_, number) => [`setting_${number}`, 'a value of the usual length']),
  );
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace, labels: { team: namespace }, managedFields: managedFields() },
    spec: {
      instances: 3,
      imagePullPolicy: 'IfNotPresent',
      storage: { size: '10Gi' },
      plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName } }],
      postgresql: { parameters },
    },
    status: {
      ...{
        currentPrimary: instances[0],
        targetPrimary: instances[0],
        timelineID: 1,
        phase: 'Cluster in healthy state',
      },
      instanceNames: instances,
      instancesReportedState: Object.fromEntries(instances.map((pod) => [pod, { isPrimary: false, timeLineID: 1 }])),
      conditions: ['Ready', 'ContinuousArchiving', 'LastBackupSucceeded'].map((type) => ({
        ...{ type, status: 'True', reason: 'Working', lastTransitionTime: '2026-11-25T08:00:00Z' },
        message: 'everything is as it should be',
      })),
    },
  };
}

/** Half of what an API server holds of an object. */
function managedFields() {
  const fields = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`f:field${index}`, { 'f:deeper': {} }]));
  return ['kubectl', 'manager'].map((manager) => ({
    ...{ manager, operation: 'Update', apiVersion: 'postgresql.cnpg.io/v1', fieldsType: 'FieldsV1' },
    fieldsV1: { 'f:spec': fields },
  }));
}
