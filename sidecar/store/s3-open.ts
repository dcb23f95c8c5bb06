// From an ObjectStore that names S3 to a prepared store.
import { namedProfiles } from './client-options.ts';
import type { PreparedStore, StoreSource } from './providers.ts';
import { createS3Storage } from './s3.ts';
import { readS3Secrets } from './s3-secrets.ts';
import { resolveS3Settings, type S3Settings } from './s3-settings.ts';

/** Reads the Secrets of `s3Credentials` and decides. Throws PreconditionError and InvalidInputError. */
export async function prepareS3(source: StoreSource): Promise<PreparedStore> {
  const { configuration, readSecret, env, certificateAuthority } = source;
  const secrets = await readS3Secrets(configuration.s3Credentials ?? {}, readSecret);
  const settings = resolveS3Settings(configuration, secrets, env, certificateAuthority);
  return { settings, notes: notesOn(source, settings), create: (note) => createS3Storage(settings, note) };
}

/** Arguments of the tools that cannot count for this store. */
function notesOn({ configuration }: StoreSource, { credentials }: S3Settings): string[] {
  if (credentials === 'chain' || 'profile' in credentials) return [];
  return namedProfiles(configuration).map(
    ({ field, profile }) => `argument without effect: ${field}: --aws-profile ${profile}: s3Credentials holds keys`,
  );
}
