// The values that `azureCredentials` points to (objectstore-and-injection.md §8).
import { PreconditionError } from '../../api/errors.ts';
import type { AzureCredentials, SecretSelector } from '../../api/objectstore.ts';
import type { AzureSecretValues } from './azure-settings.ts';
import type { StoreSource } from './providers.ts';
import { readSecretValue } from './secret-value.ts';

const FIELD = 'spec.configuration.azureCredentials';

/**
 * Reads what the login method needs, in the order of the Go plugin and of barman: the default chain, a managed identity,
 * a connection string, a shared access signature, an account key. An empty block is the default chain. Throws
 * PreconditionError naming the field and the Secret when something is missing.
 */
export async function readAzureSecrets(
  credentials: AzureCredentials,
  readSecret: StoreSource['readSecret'],
): Promise<AzureSecretValues> {
  const read = (field: string, selector: SecretSelector) => readSecretValue(`${FIELD}.${field}`, selector, readSecret);
  const { connectionString, storageAccount, storageKey, storageSasToken } = credentials;
  if (credentials.useDefaultAzureCredentials === true) return { identity: 'default' };
  if (credentials.inheritFromAzureAD === true) return { identity: 'managed-identity' };
  if (connectionString !== undefined) return { connectionString: await read('connectionString', connectionString) };
  if (storageKey === undefined && storageSasToken === undefined && storageAccount === undefined) {
    return { identity: 'default' };
  }
  if (storageAccount === undefined)
    throw missing('storageAccount', 'name the Secret and its key that hold the account');
  const account = await read('storageAccount', storageAccount);
  if (storageSasToken !== undefined) {
    return { storageAccount: account, storageSasToken: await read('storageSasToken', storageSasToken) };
  }
  if (storageKey !== undefined) return { storageAccount: account, storageKey: await read('storageKey', storageKey) };
  throw missing('storageKey', 'give storageKey, storageSasToken, or another login method');
}

function missing(field: string, hint: string): PreconditionError {
  return new PreconditionError(`${FIELD}.${field} is missing`, { hint });
}
