// The port over Azure Blob Storage. Nothing is opened before the first request.
import { Readable } from 'node:stream';
import { beginBlocks, putInBlocks } from './azure-blocks.ts';
import { AzureCalls, type AzureSend, type AzureWhere } from './azure-calls.ts';
import { AzureError } from './azure-errors.ts';
import { AzureDelete, listFolders, listObjects } from './azure-list.ts';
import { ownMetadata, putObject, unquoted } from './azure-put.ts';
import type { AzureSettings } from './azure-settings.ts';
import { receivedBody } from './body.ts';
import type { GetOptions, MultipartUpload, ObjectInfo, ObjectStorage, PutBody, PutOptions } from './store.ts';

const MIN_PART_BYTES = 64 * 1024;
/** Blocks of one object. */
const MAX_PARTS = 50_000;

/** A container as an ObjectStorage. `note` takes what is found out about the store, once each. */
export function createAzureStorage(settings: AzureSettings, note: (text: string) => void = () => {}): ObjectStorage {
  return new AzureStorage(settings, note);
}

class AzureStorage implements ObjectStorage {
  readonly provider = 'azure';
  readonly capabilities = { conditionalPut: true, minPartBytes: MIN_PART_BYTES, maxParts: MAX_PARTS };
  readonly #calls: AzureCalls;
  readonly #delete: AzureDelete;

  constructor(settings: AzureSettings, note: (text: string) => void) {
    this.#calls = new AzureCalls(settings);
    this.#delete = new AzureDelete(this.#calls, note);
  }

  put(key: string, body: PutBody, options: PutOptions = {}): Promise<ObjectInfo> {
    if (body instanceof Uint8Array && body.length > this.#calls.settings.maxSinglePutBytes) {
      return putInBlocks(this.#calls, key, body, options);
    }
    return putObject(this.#calls, key, body, options);
  }

  async head(key: string, { signal }: { signal?: AbortSignal } = {}): Promise<ObjectInfo | undefined> {
    const where = { operation: 'GetBlobProperties', key, signal };
    const found = await this.#unlessAbsent(where, (send) => this.#calls.blob(key).getProperties(send));
    if (found === undefined) return undefined;
    return infoOf(key, found.contentLength ?? 0, found);
  }

  async get(key: string, options: GetOptions = {}): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
    const { signal, offset = 0, length, etag } = options;
    const where = { operation: 'GetBlob', key, signal };
    const conditions = etag === undefined ? {} : { conditions: { ifMatch: `"${etag}"` } };
    const found = await this.#unlessAbsent(where, (send) =>
      // What breaks off is taken up again by the reader above, which knows how far it has come.
      this.#calls.blob(key).download(offset, length, { ...conditions, ...send, maxRetryRequests: 0 }),
    );
    if (found === undefined) return undefined;
    const source = found.readableStreamBody;
    if (!(source instanceof Readable)) throw this.#calls.error('broken', 'GetBlob', key, 'the answer has no body');
    const fail = (cause: unknown) => this.#calls.failure(where, cause);
    const asksForRange = offset > 0 || length !== undefined;
    const total = /\/(\d+)$/.exec(found.contentRange ?? '')?.[1];
    if (asksForRange && total === undefined) {
      source.destroy();
      const hint = 'something between here and Azure removes the header Range: check proxies';
      throw this.#calls.error('misconfigured', 'GetBlob', key, 'the store ignored the range that was asked for', hint);
    }
    const sizeBytes = found.contentLength ?? 0;
    const info = infoOf(key, total === undefined ? sizeBytes : Number(total), found);
    return { info, body: receivedBody(source, sizeBytes, fail, signal) };
  }

  list(prefix: string, options: { signal?: AbortSignal; startAfter?: string } = {}): AsyncIterable<ObjectInfo> {
    return listObjects(this.#calls, prefix, options);
  }

  listFolders(prefix: string, options: { signal?: AbortSignal } = {}): AsyncIterable<string> {
    return listFolders(this.#calls, prefix, options);
  }

  delete(keys: readonly string[], options: { signal?: AbortSignal } = {}) {
    return this.#delete.delete(keys, options.signal);
  }

  async createMultipart(key: string, options: Omit<PutOptions, 'onlyIf'> = {}): Promise<MultipartUpload> {
    options.signal?.throwIfAborted();
    return beginBlocks(this.#calls, key, options);
  }

  /** Blocks that nobody committed cannot be removed by themselves; the store drops them after a week. */
  async abortOrphans(_prefix: string, _startedBefore: Date, options: { signal?: AbortSignal } = {}): Promise<string[]> {
    options.signal?.throwIfAborted();
    return [];
  }

  close(): void {
    this.#calls.close();
  }

  /** Azure says whether it is the object or the container that is missing; who does not say it is asked. */
  async #unlessAbsent<T>(where: AzureWhere, request: (send: AzureSend) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#calls.send(where, request);
    } catch (error) {
      if (!(error instanceof AzureError) || error.status !== 404) throw error;
      if (error.code === '') await this.#calls.confirmContainer(where.signal);
      else if (error.failure !== 'absent') throw error;
      return undefined;
    }
  }
}

type Told = { etag?: string; lastModified?: Date; metadata?: Record<string, string> };

function infoOf(key: string, sizeBytes: number, { etag, lastModified = new Date(0), metadata }: Told): ObjectInfo {
  return { key, sizeBytes, etag: unquoted(etag), lastModified, metadata: ownMetadata(metadata) };
}
