// Clusters and ObjectStores as the tests of the API server apply them.
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';

export const SHOP = 'shop';

export function secretOf(name: string, data: Record<string, string> = { id: 'x', key: 'y' }): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: SHOP, name }, stringData: data };
}

/** A store whose keys are in the named Secret; `more` is added to its configuration. */
export function storeOf(name: string, secret: string, more: object = {}) {
  const s3Credentials = {
    accessKeyId: { name: secret, key: 'id' },
    secretAccessKey: { name: secret, key: 'key' },
  };
  return {
    ...{ apiVersion: 'barmancloud.cnpg.io/v1', kind: 'ObjectStore', metadata: { namespace: SHOP, name } },
    spec: { configuration: { destinationPath: 's3://backups/', s3Credentials, ...more } },
  };
}

export function clusterOf(name: string, store: string, more: object = {}) {
  return {
    ...{ apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', metadata: { namespace: SHOP, name } },
    spec: {
      ...{ instances: 1, storage: { size: '1Gi' } },
      plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: store } }],
      ...more,
    },
  } satisfies Cluster & { spec: object };
}
