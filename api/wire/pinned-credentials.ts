// The TLS side of the CNPG-I door: TLS 1.3, and only the client whose certificate is in a file gets in.
import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import { messageOf } from '../errors.ts';
import { checkPair, checkPem, readPem } from './certificate-files.ts';
import { certificatesIn } from './certificate-plan.ts';
import type { Log } from './log.ts';

export type PinnedFiles = {
  /** Certificate chain and private key of this server. */
  serverCert: string;
  serverKey: string;
  /** The client's certificate itself, not its authority; an authority is accepted too, as by the Go plugin. */
  clientCert: string;
};

/** What the door presents and whom it lets in, PEM. */
export type PinnedMaterial = {
  cert: string;
  key: string;
  /** The client's certificate, or the authorities that vouch for it. */
  client: string;
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
  return open(() => readPinnedFiles(files), log);
}

/** The same for certificates that somebody keeps in memory: every handshake looks at what `read` gives then. */
export function openKeptCredentials(read: () => PinnedMaterial, log: Log): Promise<ServerCredentials> {
  return open(async () => read(), log);
}

type Read = () => Promise<PinnedMaterial>;

async function open(read: Read, log: Log): Promise<ServerCredentials> {
  const material = await read();
  return new PinnedCredentials(read, material, contextOf([material]), log);
}

class PinnedCredentials extends ServerCredentials {
  readonly #read: Read;
  readonly #log: Log;
  /** The newest first; the second one still counts as a client. */
  #known: PinnedMaterial[];
  #context: SecureContext;

  constructor(read: Read, material: PinnedMaterial, context: SecureContext, log: Log) {
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
    this.#read = read;
    this.#log = log;
    this.#known = [material];
    this.#context = context;
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  async #refresh(): Promise<void> {
    try {
      const material = await this.#read();
      if (isSame(material, this.#known[0])) return;
      const previous = this.#known.find(({ client }) => client !== material.client);
      const known = previous === undefined ? [material] : [material, previous];
      this.#context = contextOf(known);
      this.#known = known;
      this.updateSecureContextOptions(contextOptions(known));
      this.#log.info('the CNPG-I door took up other certificates');
    } catch (error) {
      this.#log.warn(`certificates stay as they were: ${messageOf(error)}`);
    }
  }
}

function contextOf(known: PinnedMaterial[]): SecureContext {
  return createSecureContext({ ...contextOptions(known), allowPartialTrustChain: true, sessionIdContext: 'cellar' });
}

function contextOptions(known: PinnedMaterial[]): SecureContextOptions {
  const { cert, key } = known[0] ?? {};
  return { cert, key, ca: known.flatMap(({ client }) => pinned(client)), minVersion: 'TLSv1.3' };
}

/** A leaf is pinned alone: what follows it in its file is the way to its authority. Of authorities all count. */
function pinned(pem: string): string[] {
  const certificates = certificatesIn(pem);
  const [first] = certificates;
  if (first === undefined) throw new Error('no certificate in it');
  return new X509Certificate(first).ca ? certificates : [first];
}

/** Throws InvalidInputError naming the file that cannot be read or is not usable. */
export async function readPinnedFiles(files: PinnedFiles): Promise<PinnedMaterial> {
  const [cert, key, client] = await Promise.all([
    readPem(files.serverCert),
    readPem(files.serverKey),
    readPem(files.clientCert),
  ]);
  checkPem(files.clientCert, () => pinned(client), 'must hold the PEM certificate that the operator presents');
  checkPair({ cert: files.serverCert, key: files.serverKey }, { cert, key });
  return { cert, key, client };
}

function isSame(a: PinnedMaterial, b: PinnedMaterial | undefined): boolean {
  return a.cert === b?.cert && a.key === b.key && a.client === b.client;
}
