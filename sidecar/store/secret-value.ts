// One value of a Secret that a field of an ObjectStore points to.
import { PreconditionError } from '../../api/errors.ts';
import type { Secret } from '../../api/kube.ts';
import type { SecretSelector } from '../../api/objectstore.ts';

/**
 * The value without the white space at its ends: a line break at the end of a file made into a Secret is never part of a
 * key. Throws PreconditionError naming the field and the Secret when it is missing or empty.
 */
export async function readSecretValue(
  field: string,
  { name, key }: SecretSelector,
  readSecret: (name: string) => Promise<Secret>,
): Promise<string> {
  const encoded = (await readSecret(name)).data?.[key];
  if (encoded === undefined) {
    throw new PreconditionError(`${field}: Secret ${name} has no key ${JSON.stringify(key)}`, {
      hint: 'add the key to the Secret, or name the right one in the ObjectStore',
    });
  }
  const value = Buffer.from(encoded, 'base64').toString('utf8').trim();
  if (value === '') throw new PreconditionError(`${field}: key ${JSON.stringify(key)} of Secret ${name} is empty`);
  return value;
}
