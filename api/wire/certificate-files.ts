// Certificates in files, as cert-manager and people put them there: read, and checked that they fit together.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { InvalidInputError, messageOf } from '../errors.ts';
import type { KeyPair } from './certificates.ts';

/** Throws InvalidInputError naming the file that cannot be read, is none, or does not fit. */
export async function readPairFiles(files: KeyPair): Promise<KeyPair> {
  const [cert, key] = await Promise.all([readPem(files.cert), readPem(files.key)]);
  checkPair(files, { cert, key });
  return { cert, key };
}

/** Throws InvalidInputError naming the file whose text is none of a certificate, or no key that fits. */
export function checkPair(files: KeyPair, { cert, key }: KeyPair): void {
  checkPem(files.cert, () => new X509Certificate(cert), 'must hold a PEM certificate');
  const use = (): void => {
    // Of an empty text, a file caught while it is written, OpenSSL says nothing.
    if (!key.includes('PRIVATE KEY')) throw new Error('no private key in it');
    createSecureContext({ cert, key });
  };
  checkPem(files.key, use, `must hold the private key of ${files.cert}`);
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
