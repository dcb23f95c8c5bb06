// How every request to Azure is made: one place for the client, the container, repeating, aborting and the translation
// of errors.
import { setTimeout } from 'node:timers/promises';
import {
  AnonymousCredential,
  type BlockBlobClient,
  ContainerClient,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { StoreError } from '../../api/errors.ts';
import { AzureError, azureError } from './azure-errors.ts';
import { AzureHttp } from './azure-http.ts';
import { AzureLogin } from './azure-login.ts';
import { type AzureSettings, azureSecrets } from './azure-settings.ts';

/** Attempts of one request, the first included. */
export const MAX_ATTEMPTS = 4;
const FIRST_WAIT_MS = 100;
/** Longer than that nobody waits, whatever the store asks for. */
const LONGEST_WAIT_MS = 30_000;

/** Where a request belongs. */
export type AzureWhere = { operation: string; key: string; signal: AbortSignal | undefined };
/** What every request takes. */
export type AzureSend = { abortSignal?: AbortSignal };

/** The client with its container. */
export class AzureCalls {
  readonly container: ContainerClient;
  readonly settings: AzureSettings;
  readonly #http: AzureHttp;
  /** Metadata servers are asked over no proxy. */
  readonly #direct: AzureHttp;
  readonly #secrets: readonly string[];

  constructor(settings: AzureSettings) {
    this.settings = settings;
    this.#http = new AzureHttp(settings);
    this.#direct = new AzureHttp({ ...settings, proxies: {} });
    this.#secrets = azureSecrets(settings);
    const { credentials, endpoint, container } = settings;
    const query = 'sas' in credentials ? `?${credentials.sas}` : '';
    // Repeating is done here: the vendor's way takes no notice of Retry-After.
    const options = { httpClient: this.#http, retryOptions: { maxTries: 1 } };
    const url = `${endpoint}/${encodeURIComponent(container)}${query}`;
    this.container = new ContainerClient(url, newPipeline(this.#credential(credentials), options));
  }

  blob(key: string): BlockBlobClient {
    return this.container.getBlockBlobClient(key);
  }

  /** Makes a request, several times if need be. Throws the signal's reason when aborted, a StoreError for all else. */
  async send<T>(where: AzureWhere, request: (send: AzureSend) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(where, request);
      } catch (error) {
        if (!(error instanceof StoreError) || !error.retriable || attempt === MAX_ATTEMPTS) throw error;
        await pause(error, attempt, where.signal);
      }
    }
  }

  /** Makes a request once. */
  async once<T>(where: AzureWhere, request: (send: AzureSend) => Promise<T>): Promise<T> {
    where.signal?.throwIfAborted();
    try {
      return await request(where.signal === undefined ? {} : { abortSignal: where.signal });
    } catch (error) {
      throw this.failure(where, error);
    }
  }

  /** Throws `misconfigured` when the container is not there; one that may not be looked at is one that is there. */
  async confirmContainer(signal: AbortSignal | undefined): Promise<void> {
    const where = { operation: 'GetContainerProperties', key: '', signal };
    try {
      await this.send(where, (send) => this.container.getProperties(send));
    } catch (error) {
      if (!(error instanceof StoreError) || error.status !== 403) throw error;
    }
  }

  /** What to throw for something thrown. */
  failure({ operation, key, signal }: AzureWhere, thrown: unknown): Error {
    if (signal?.aborted) return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
    return azureError(thrown, { operation, key: this.#path(key), secrets: this.#secrets });
  }

  error(failure: StoreError['failure'], operation: string, key: string, reason: string, hint?: string): StoreError {
    return new StoreError({ failure, provider: 'azure', operation, key: this.#path(key), reason, hint });
  }

  close(): void {
    this.#http.close();
    this.#direct.close();
  }

  #path(key: string): string {
    return `${this.settings.container}/${key}`;
  }

  #credential(credentials: AzureSettings['credentials']) {
    if ('sas' in credentials) return new AnonymousCredential();
    if ('key' in credentials) return new StorageSharedKeyCredential(credentials.account, credentials.key);
    const { identity } = credentials;
    return new AzureLogin(identity, identity.kind === 'machine' ? this.#direct : this.#http);
  }
}

/** Waits before an attempt is repeated: as long as the store asks for, else a little longer each time. */
export async function pause(error: StoreError, attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const asked = error instanceof AzureError ? Math.min(error.waitMs, LONGEST_WAIT_MS) : 0;
  const ms = Math.max(asked, Math.random() * FIRST_WAIT_MS * 2 ** attempt);
  await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
}
