// From an ObjectStore to an adapter for Google Cloud Storage.
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { createGcsStorage } from './gcs.ts';
import { readGcsSecrets } from './gcs-secrets.ts';
import { resolveGcsSettings } from './gcs-settings.ts';
import type { PreparedStore, StoreSource } from './providers.ts';

/** Decides the settings; errors are those of `readGcsSecrets` and `resolveGcsSettings`. */
export async function prepareGcs(source: StoreSource): Promise<PreparedStore> {
  const { configuration, env, certificateAuthority } = source;
  const key = await readGcsSecrets(configuration.googleCredentials ?? {}, source.readSecret);
  const settings = resolveGcsSettings(configuration, key, env, certificateAuthority);
  return { settings, notes: notesOn(configuration), create: () => createGcsStorage(settings) };
}

/** Fields that cannot count here. */
function notesOn({ endpointURL, wal, data }: ObjectStoreConfiguration): string[] {
  const encryption = [wal?.encryption && 'wal', data?.encryption && 'data'].filter((part) => part);
  return [
    ...(endpointURL === undefined
      ? []
      : ['field without effect: spec.configuration.endpointURL: Google has one endpoint']),
    ...encryption.map(
      (part) =>
        `field without effect: spec.configuration.${part}.encryption: Google encrypts all; name a key with --kms-key-name`,
    ),
  ];
}
