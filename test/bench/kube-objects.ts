// The documents that a sidecar of a benchmark reads from the API server.
import type { ObjectStore, ObjectStoreConfiguration } from '../../api/objectstore.ts';
import type { BenchStore } from './store.ts';

export const NAMESPACE = 'default';
const SECRET = 'keys';

/** An ObjectStore whose destination is the bucket of the run. With a folder, the sidecar writes a CPU profile there. */
export function objectStoreFor(
  store: BenchStore,
  name: string,
  configuration: Pick<ObjectStoreConfiguration, 'wal' | 'data'>,
  profileFolder: string | undefined,
): ObjectStore {
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      configuration: {
        destinationPath: `s3://${store.bucket}/`,
        endpointURL: store.endpoint,
        s3Credentials: {
          accessKeyId: { name: SECRET, key: 'ACCESS_KEY_ID' },
          secretAccessKey: { name: SECRET, key: 'ACCESS_SECRET_KEY' },
        },
        ...configuration,
      },
      ...(profileFolder === undefined
        ? {}
        : { instanceSidecarConfiguration: { env: [{ name: 'NODE_OPTIONS', value: profiling(profileFolder) }] } }),
    },
  };
}

/** The keys of the store. */
export function secretOf(store: BenchStore) {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const data = { ACCESS_KEY_ID: base64(store.accessKeyId), ACCESS_SECRET_KEY: base64(store.secretAccessKey) };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: SECRET, namespace: NAMESPACE }, data };
}

function profiling(folder: string): string {
  return `--cpu-prof --cpu-prof-dir=${folder}`;
}
