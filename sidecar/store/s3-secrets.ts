// The values that `s3Credentials` points to (objectstore-and-injection.md §8).
import { PreconditionError } from '../../api/errors.ts';
import type { Secret } from '../../api/kube.ts';
import type { S3Credentials, SecretSelector } from '../../api/objectstore.ts';
import type { S3SecretValues } from './s3-settings.ts';
import { readSecretValue } from './secret-value.ts';

const FIELD = 'spec.configuration.s3Credentials';

/**
 * Reads the keys, or nothing with `inheritFromIAMRole`, where every reference is ignored. Values lose the white space
 * at their ends: a line break at the end of a file made into a Secret is never part of a key. Throws PreconditionError
 * naming the field and the Secret when something is missing.
 */
export async function readS3Secrets(
  credentials: S3Credentials,
  readSecret: (name: string) => Promise<Secret>,
): Promise<S3SecretValues> {
  if (credentials.inheritFromIAMRole === true) return undefined;
  const read = (field: string, selector: SecretSelector) => readSecretValue(`${FIELD}.${field}`, selector, readSecret);
  const { accessKeyId, secretAccessKey, region, sessionToken } = credentials;
  return {
    accessKeyId: await read('accessKeyId', required('accessKeyId', accessKeyId)),
    secretAccessKey: await read('secretAccessKey', required('secretAccessKey', secretAccessKey)),
    region: region === undefined ? undefined : await read('region', region),
    sessionToken: sessionToken === undefined ? undefined : await read('sessionToken', sessionToken),
  };
}

function required(field: string, selector: SecretSelector | undefined): SecretSelector {
  if (selector !== undefined) return selector;
  throw new PreconditionError(`${FIELD}.${field} is missing`, {
    hint: 'name a Secret and its key there, or set inheritFromIAMRole: true',
  });
}
