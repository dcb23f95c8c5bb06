// The text that `googleCredentials` points to (objectstore-and-injection.md §8).
import { PreconditionError } from '../../api/errors.ts';
import type { Secret } from '../../api/kube.ts';
import type { GoogleCredentials } from '../../api/objectstore.ts';
import { readSecretValue } from './secret-value.ts';

const FIELD = 'spec.configuration.googleCredentials';

/**
 * The credential file, or nothing with `gkeEnvironment` alone; with both the file wins, as in the Go plugin. Throws
 * PreconditionError naming the field and the Secret when something is missing.
 */
export async function readGcsSecrets(
  { applicationCredentials, gkeEnvironment }: GoogleCredentials,
  readSecret: (name: string) => Promise<Secret>,
): Promise<string | undefined> {
  if (applicationCredentials === undefined) {
    if (gkeEnvironment === true) return undefined;
    throw new PreconditionError(`${FIELD}: no login method`, {
      hint: 'give applicationCredentials, or set gkeEnvironment: true',
    });
  }
  return readSecretValue(`${FIELD}.applicationCredentials`, applicationCredentials, readSecret);
}
