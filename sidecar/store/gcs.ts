// The port over Google Cloud Storage, by its JSON API. Nothing is opened before the first request.
import type { Readable } from 'node:stream';
import { StoreError } from '../../api/errors.ts';
import { receivedBody } from './body.ts';
import { crc32cCheck } from './gcs-body.ts';
import { GcsCalls, jsonOf } from './gcs-calls.ts';
import { deleteObjects, listFolders, listObjects } from './gcs-list.ts';
import { type GcsObject, gcsObject, OBJECT_FIELDS } from './gcs-object.ts';
import { putObject } from './gcs-put.ts';
import { beginResumable, CHUNK_UNIT_BYTES } from './gcs-resumable.ts';
import type { GcsSettings } from './gcs-settings.ts';
import type { GetOptions, MultipartUpload, ObjectInfo, ObjectStorage, PutBody, PutOptions } from './store.ts';

/** One stream may have any number of chunks; what bounds an object is its size of 5 TiB. */
const MAX_PARTS = 100_000;

/** A bucket as an ObjectStorage. */
export function createGcsStorage(settings: GcsSettings): ObjectStorage {
  return new GcsStorage(settings);
}

class GcsStorage implements ObjectStorage {
  readonly provider = 'gcs';
  readonly capabilities = { conditionalPut: true, minPartBytes: CHUNK_UNIT_BYTES, maxParts: MAX_PARTS };
  readonly #calls: GcsCalls;

  constructor(settings: GcsSettings) {
    this.#calls = new GcsCalls(settings);
  }

  put(key: string, body: PutBody, options: PutOptions = {}): Promise<ObjectInfo> {
    return putObject(this.#calls, key, body, options);
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectInfo | undefined> {
    return (await this.#look(key, options.signal))?.info;
  }

  /**
   * Two requests: the first tells generation, digest and metadata, which the answer with the bytes does not tell
   * reliably; the second reads exactly that generation.
   */
  async get(key: string, options: GetOptions = {}): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
    const { signal } = options;
    const found = await this.#look(key, signal);
    if (found === undefined) return undefined;
    const { info } = found;
    if (options.etag !== undefined && options.etag !== info.etag) throw this.#replaced(key, 'conflict');
    const offset = options.offset ?? 0;
    const length = Math.min(options.length ?? Number.POSITIVE_INFINITY, Math.max(0, info.sizeBytes - offset));
    const isWhole = length === info.sizeBytes;
    const request = {
      operation: 'objects.get',
      key,
      method: 'GET',
      path: this.#calls.objectPath(key),
      query: { alt: 'media', generation: info.etag },
      headers: {
        // What is stored packed must come as it is.
        'accept-encoding': 'gzip',
        ...(isWhole ? {} : { range: `bytes=${offset}-${offset + length - 1}` }),
      },
      alsoFine: [404],
      signal,
    };
    // Before the answer: a body that nobody reads yet must not wait.
    const check = isWhole && found.crc32c !== undefined ? await crc32cCheck(found.crc32c) : undefined;
    const answer = await this.#calls.send(request);
    const fail = (cause: unknown) => (signal?.aborted ? asError(signal.reason) : this.#calls.failure(request, cause));
    if (answer.statusCode === 404) {
      answer.resume();
      throw this.#replaced(key, options.etag === undefined ? 'broken' : 'conflict');
    }
    if (!isWhole && answer.statusCode !== 206) {
      answer.destroy();
      throw fail(new Error('the store ignored the range that was asked for'));
    }
    return { info, body: receivedBody(answer, length, fail, signal, check) };
  }

  list(prefix: string, options: { signal?: AbortSignal; startAfter?: string } = {}): AsyncIterable<ObjectInfo> {
    return listObjects(this.#calls, prefix, options);
  }

  listFolders(prefix: string, options: { signal?: AbortSignal } = {}): AsyncIterable<string> {
    return listFolders(this.#calls, prefix, options);
  }

  delete(keys: readonly string[], options: { signal?: AbortSignal } = {}) {
    return deleteObjects(this.#calls, keys, options.signal);
  }

  createMultipart(key: string, options: Omit<PutOptions, 'onlyIf'> = {}): Promise<MultipartUpload> {
    return beginResumable(this.#calls, key, options, options.signal);
  }

  /** The store lists no sessions; it forgets them after a week, and they cost nothing. */
  async abortOrphans(_prefix: string, _startedBefore: Date, options: { signal?: AbortSignal } = {}): Promise<string[]> {
    options.signal?.throwIfAborted();
    return [];
  }

  close(): void {
    this.#calls.close();
  }

  /** What the store tells of an object; undefined on a positive not-found in a bucket that is there. */
  async #look(key: string, signal: AbortSignal | undefined): Promise<GcsObject | undefined> {
    const path = this.#calls.objectPath(key);
    const request = { operation: 'objects.get', key, method: 'GET', path, query: { fields: OBJECT_FIELDS }, signal };
    const answer = await this.#calls.send({ ...request, alsoFine: [404] });
    if (answer.statusCode === 404) {
      answer.resume();
      await this.#calls.confirmBucket(signal);
      return undefined;
    }
    try {
      return gcsObject(await jsonOf(answer));
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#calls.failure(request, error);
    }
  }

  #replaced(key: string, failure: 'conflict' | 'broken'): StoreError {
    const where = this.#calls.context({ operation: 'objects.get', key });
    return new StoreError({ failure, provider: 'gcs', ...where, reason: 'the object has been replaced' });
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
