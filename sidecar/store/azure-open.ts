// From an ObjectStore that names Azure to a prepared store.
import { createAzureStorage } from './azure.ts';
import { readAzureSecrets } from './azure-secrets.ts';
import { expiryOf, resolveAzureSettings } from './azure-settings.ts';
import type { PreparedStore, StoreSource } from './providers.ts';

/** Reads the Secrets of `azureCredentials` and decides. Throws PreconditionError and InvalidInputError. */
export async function prepareAzure(source: StoreSource): Promise<PreparedStore> {
  const { configuration, readSecret, env, certificateAuthority } = source;
  const secrets = await readAzureSecrets(configuration.azureCredentials ?? {}, readSecret);
  const settings = resolveAzureSettings(configuration, secrets, env, certificateAuthority);
  const expiresAt = expiryOf(settings);
  return {
    settings,
    notes: [],
    ...(expiresAt === undefined ? {} : { expiresAt }),
    create: (note) => createAzureStorage(settings, note),
  };
}
