// Certificates in files, as cert-manager and people put them there: read, and checked that they fit together.
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { InvalidInputError, messageOf } from '../errors.ts';
import type { KeyPair } from './certificates.ts';

/** Throws InvalidInputError naming the file that cannot be read, is none, or does not fit. */
export async function readPairFiles(files: KeyPair): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readPem(files.cert), readPem(files.key)]);
  checkPem(files.cert, () => createSecureContext({ cert }), 'must hold a PEM certificate');
  checkPem(files.key, () => createSecureContext({ cert, key }), `must hold the private key of ${files.cert}`);
  return { cert, key };
}

/** The text of a file; throws InvalidInputError naming it. */
export async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidInputError('certificate file', file, `cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** Tries what was read; what that throws becomes an InvalidInputError naming the file. */
export function checkPem(file: string, use: () => unknown, advice: string): void {
  try {
    use();
  } catch (error) {
    throw new InvalidInputError('certificate file', file, `${advice}: ${messageOf(error)}`, { cause: error });
  }
}
