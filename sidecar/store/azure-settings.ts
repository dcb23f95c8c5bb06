// From an ObjectStore, the values of its Secrets and the environment to complete settings for Azure Blob Storage
// (object-store-layout.md §1.1, §10.1). Pure.
import { InvalidInputError } from '../../api/errors.ts';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { type AccountAccess, parseConnectionString } from './azure-connection-string.ts';
import { type AzureIdentity, azureIdentity } from './azure-identity.ts';
import { type AzureWriting, azureWriting } from './client-options.ts';
import { connectionTrust, HTTP_LIMITS, type HttpConnections } from './connections.ts';
import { parseAzureDestination } from './destination.ts';

/** Everything decided: nothing is looked up later but the tokens of an identity. */
export type AzureSettings = AzureWriting &
  HttpConnections & {
    container: string;
    /** Address of the account: scheme and host, for emulators also the name of the account. */
    endpoint: string;
    credentials: AccountAccess['credentials'] | { identity: AzureIdentity };
  };

/** What `azureCredentials` asks for, its Secrets read. */
export type AzureSecretValues =
  | { connectionString: string }
  | { storageAccount: string; storageKey: string }
  | { storageAccount: string; storageSasToken: string }
  | { identity: 'managed-identity' | 'default' };

/**
 * Decides the settings. A connection string names account and address, and of `destinationPath` only container and prefix
 * count; otherwise the address is that of `destinationPath`, by HTTPS in its cloud form. `endpointURL` does not count, as
 * in the tools. `endpointCA` is added to the system's CAs. Throws InvalidInputError for a field, PreconditionError for
 * options that contradict each other.
 */
export function resolveAzureSettings(
  configuration: ObjectStoreConfiguration,
  secrets: AzureSecretValues,
  env: Record<string, string | undefined>,
  certificateAuthority: string | undefined,
): AzureSettings {
  const destination = parseAzureDestination(configuration.destinationPath);
  return {
    container: destination.bucket,
    ...accessOf(secrets, destination, env),
    ...azureWriting(configuration),
    ...connectionTrust(env, certificateAuthority),
    ...HTTP_LIMITS,
  };
}

function accessOf(
  secrets: AzureSecretValues,
  { endpoint, account }: { endpoint: string; account: string },
  env: Record<string, string | undefined>,
): Pick<AzureSettings, 'endpoint' | 'credentials'> {
  if ('connectionString' in secrets) return parseConnectionString(secrets.connectionString);
  if ('identity' in secrets) return { endpoint, credentials: { identity: azureIdentity(env) } };
  if (secrets.storageAccount !== account) {
    const field = 'spec.configuration.azureCredentials.storageAccount';
    throw new InvalidInputError(field, secrets.storageAccount, `write ${account}, the account of destinationPath`);
  }
  if ('storageKey' in secrets) return { endpoint, credentials: { account, key: secrets.storageKey } };
  return { endpoint, credentials: { sas: secrets.storageSasToken.replace(/^\?/, '') } };
}

/** When a shared access signature ends; undefined for other credentials, and for a signature that leaves it to a policy. */
export function expiryOf({ credentials }: AzureSettings): Date | undefined {
  if (!('sas' in credentials)) return undefined;
  const end = new Date(new URLSearchParams(credentials.sas).get('se') ?? '');
  return Number.isNaN(end.getTime()) ? undefined : end;
}

/** Texts that must not appear in any message. */
export function azureSecrets({ credentials }: AzureSettings): string[] {
  if ('key' in credentials) return [credentials.key];
  if (!('sas' in credentials)) return [];
  const signature = new URLSearchParams(credentials.sas).get('sig') ?? '';
  return [credentials.sas, signature, encodeURIComponent(signature)].filter((secret) => secret !== '');
}
