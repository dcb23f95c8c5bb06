// A container of Azure's or a bucket of Google's emulator beside the S3 store of a run: what is measured on both is compared.
import type { EnvVar, Secret } from '../../api/kube.ts';
import type { ObjectStore, ObjectStoreConfiguration } from '../../api/objectstore.ts';
import type { Provider } from '../../sidecar/store/destination.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { startAzurite } from '../servers/azurite.ts';
import { startFakeGcs } from '../servers/fake-gcs.ts';
import { NAMESPACE, objectStoreFor, secretOf } from './kube-objects.ts';
import { openAdapter } from './open-adapter.ts';
import type { BenchStore } from './store.ts';

type StoredSecret = Secret & { apiVersion: string; kind: string; metadata: { name: string; namespace: string } };

export type OtherProvider = Exclude<Provider, 's3'>;

/** What an adapter is made of. */
export type ProviderPlace = {
  provider: Provider;
  what: string;
  configuration: ObjectStoreConfiguration;
  /** What the configuration names. */
  secret: StoredSecret;
  /** For `instanceSidecarConfiguration.env`. */
  env: EnvVar[];
};

export type OtherPlace = ProviderPlace & {
  provider: OtherProvider;
  /** Removes everything. */
  empty(): Promise<void>;
};

const CONTAINER = 'bench';
const SECRET = 'keys-of-the-other';

/** Starts the emulator, with a place in it. */
export async function startOtherPlace(provider: OtherProvider, cleanup: Cleanup): Promise<OtherPlace> {
  const place = await (provider === 'azure' ? startAzure(cleanup) : startGcs(cleanup));
  const storage = await openAdapter(place);
  cleanup.add(async () => storage.close());
  const empty = async () => {
    const keys: string[] = [];
    for await (const { key } of storage.list('')) keys.push(key);
    await storage.delete(keys);
  };
  return { ...place, provider, empty };
}

/** The place of the run that everything is compared with. */
export function s3Place(store: BenchStore): ProviderPlace {
  const { configuration } = objectStoreFor(store, 's3', {}, undefined).spec;
  return { provider: 's3', what: store.what, configuration, secret: secretOf(store), env: [] };
}

/** An ObjectStore of the S3 store, moved to the place under a name of its own. */
export function movedTo(place: ProviderPlace, store: ObjectStore): ObjectStore {
  const {
    s3Credentials: _keys,
    endpointURL: _url,
    destinationPath: _path,
    ...configuration
  } = store.spec.configuration;
  return {
    ...store,
    metadata: { ...store.metadata, name: nameAt(place.provider, store.metadata.name ?? '') },
    spec: { ...store.spec, configuration: { ...configuration, ...place.configuration } },
  };
}

/** The name that `movedTo` gives. */
export function nameAt(provider: Provider, storeName: string): string {
  return provider === 's3' ? storeName : `${provider}-${storeName}`;
}

async function startAzure(cleanup: Cleanup): Promise<ProviderPlace> {
  const azurite = await startAzurite();
  cleanup.add(azurite.stop);
  await azurite.createContainer(CONTAINER);
  const key = 'CONNECTION_STRING';
  return {
    ...{ provider: 'azure', what: 'Azurite', env: [] },
    configuration: {
      destinationPath: `${azurite.endpoint}/${CONTAINER}/`,
      azureCredentials: { connectionString: { name: SECRET, key } },
    },
    secret: secretWith({ [key]: azurite.connectionString }),
  };
}

async function startGcs(cleanup: Cleanup): Promise<ProviderPlace> {
  const gcs = await startFakeGcs();
  cleanup.add(gcs.stop);
  await gcs.createBucket(CONTAINER);
  return {
    ...{ provider: 'gcs', what: 'fake-gcs-server' },
    configuration: { destinationPath: `gs://${CONTAINER}/`, googleCredentials: { gkeEnvironment: true } },
    secret: secretWith({}),
    env: [{ name: 'STORAGE_EMULATOR_HOST', value: gcs.endpoint }],
  };
}

function secretWith(values: Record<string, string>): StoredSecret {
  const encoded = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  const metadata = { name: SECRET, namespace: NAMESPACE };
  return { apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(encoded) };
}
