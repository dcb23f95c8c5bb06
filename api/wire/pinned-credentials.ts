// The TLS side of the CNPG-I door: TLS 1.3, and only the client whose certificate is in a file gets in.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { InvalidInputError, messageOf } from '../errors.ts';
import type { Log } from './log.ts';

export type PinnedFiles = {
  /** Certificate chain and private key of this server. */
  serverCert: string;
  serverKey: string;
  /** The client's certificate itself, not its authority; an authority is accepted too, as by the Go plugin. */
  clientCert: string;
};

/**
 * Reads the files and makes credentials for startGrpcServer. Every handshake looks whether the files have changed, so
 * that rotation needs no restart and drops no connection; a pair that does not fit (caught between two writes) leaves
 * the former in use. After a change the former client certificate goes on being accepted until it expires or the next
 * change comes, because operator and plugin learn of a rotation at different times.
 *
 * A client passes when its certificate is the pinned one, self-signed or issued by anybody. Beyond that only somebody
 * who holds the pinned certificate's own private key could make one that passes. OpenSSL also checks dates and usage.
 *
 * Throws InvalidInputError naming the file that cannot be read or is not usable.
 */
export async function openPinnedCredentials(files: PinnedFiles, log: Log): Promise<ServerCredentials> {
  const material = await readMaterial(files);
  return new PinnedCredentials(files, material, contextOf([material]), log);
}

/** The text of the three files. */
type Material = { cert: string; key: string; client: string };

class PinnedCredentials extends ServerCredentials {
  readonly #files: PinnedFiles;
  readonly #log: Log;
  /** The newest first; the second one still counts as a client. */
  #known: Material[];
  #context: SecureContext;

  constructor(files: PinnedFiles, material: Material, context: SecureContext, log: Log) {
    // node:tls passes `allowPartialTrustChain` only through a context of one's own, and takes such a context only from
    // SNICallback. Clients that send no server name (they dialled an address) get the default context, which knows
    // pinned certificates that are self-signed.
    const constructorOptions = {
      requestCert: true,
      rejectUnauthorized: true,
      SNICallback: (_name: string, done: (error: Error | null, context?: SecureContext) => void) => {
        void this.#refresh().then(() => done(null, this.#context));
      },
    };
    super(constructorOptions, contextOptions([material]));
    this.#files = files;
    this.#log = log;
    this.#known = [material];
    this.#context = context;
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  async #refresh(): Promise<void> {
    try {
      const material = await readMaterial(this.#files);
      if (isSame(material, this.#known[0])) return;
      const previous = this.#known.find(({ client }) => client !== material.client);
      const known = previous === undefined ? [material] : [material, previous];
      this.#context = contextOf(known);
      this.#known = known;
      this.updateSecureContextOptions(contextOptions(known));
      this.#log.info({ files: this.#files }, 'certificates were read again');
    } catch (error) {
      this.#log.warn(`certificates stay as they were: ${messageOf(error)}`);
    }
  }
}

function contextOf(known: Material[]): SecureContext {
  return createSecureContext({ ...contextOptions(known), allowPartialTrustChain: true, sessionIdContext: 'cellar' });
}

function contextOptions(known: Material[]): SecureContextOptions {
  const { cert, key } = known[0] ?? {};
  return { cert, key, ca: known.flatMap(({ client }) => pinned(client)), minVersion: 'TLSv1.3' };
}

/** A leaf is pinned alone: what follows it in its file is the way to its authority. Of authorities all count. */
function pinned(pem: string): string[] {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const [first] = certificates;
  if (first === undefined) throw new Error('no certificate in it');
  return new X509Certificate(first).ca ? certificates : [first];
}

async function readMaterial(files: PinnedFiles): Promise<Material> {
  const [cert, key, client] = await Promise.all([
    readText(files.serverCert),
    readText(files.serverKey),
    readText(files.clientCert),
  ]);
  check(files.clientCert, () => pinned(client), 'must hold the PEM certificate that the operator presents');
  check(files.serverCert, () => createSecureContext({ cert }), 'must hold a PEM certificate');
  check(files.serverKey, () => createSecureContext({ cert, key }), `must hold the private key of ${files.serverCert}`);
  return { cert, key, client };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidInputError('certificate file', file, `cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function check(file: string, use: () => unknown, advice: string): void {
  try {
    use();
  } catch (error) {
    throw new InvalidInputError('certificate file', file, `${advice}: ${messageOf(error)}`, { cause: error });
  }
}

function isSame(a: Material, b: Material | undefined): boolean {
  return a.cert === b?.cert && a.key === b.key && a.client === b.client;
}
