// Which adapter serves which provider. Each is loaded with its vendor's client when a store needs it: the others would
// cost memory.
import type { Secret } from '../../api/kube.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import type { Provider } from './destination.ts';
import type { ObjectStorage } from './store.ts';

/** What a store is made of. */
export type StoreSource = {
  configuration: ObjectStoreConfiguration;
  readSecret: (name: string) => Promise<Secret>;
  env: Record<string, string | undefined>;
  /** PEM, to be trusted besides the system's; undefined where none is named. */
  certificateAuthority: string | undefined;
};

/** A store whose settings are decided. */
export type PreparedStore = {
  /** As JSON: equal while nothing has changed. Holds secrets. */
  settings: unknown;
  /** What to warn of when the adapter is made. */
  notes: readonly string[];
  /** When the credentials end, where they tell it. */
  expiresAt?: Date;
  /** Makes the adapter; opens nothing. `note` takes what it finds out about the store later, once each. */
  create(note: (text: string) => void): ObjectStorage;
};

type Prepare = (source: StoreSource) => Promise<PreparedStore>;

const LOADERS: Record<Provider, () => Promise<Prepare>> = {
  s3: async () => (await import('./s3-open.ts')).prepareS3,
  azure: async () => (await import('./azure-open.ts')).prepareAzure,
  gcs: async () => (await import('./gcs-open.ts')).prepareGcs,
};

/**
 * Loads the adapter of a provider and decides the settings of a store. Throws PreconditionError for a Secret that does
 * not fit, InvalidInputError for a field or variable.
 */
export async function prepareStore(provider: Provider, source: StoreSource): Promise<PreparedStore> {
  const prepare = await LOADERS[provider]();
  return prepare(source);
}
