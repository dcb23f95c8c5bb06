// Listing and deleting.
import { messageOf, StoreError } from '../../api/errors.ts';
import type { AzureCalls } from './azure-calls.ts';
import { unquoted } from './azure-put.ts';
import { deleteSingly } from './delete-singly.ts';
import type { ObjectInfo, StoreDeleteFailure } from './store.ts';

/** Keys of a page of a listing; the store would give five times as many at once. */
const PAGE_KEYS = 1000;
const DELETE_BATCH = 256;
const SINGLE_DELETES_AT_ONCE = 16;

type ListOptions = { signal?: AbortSignal; startAfter?: string };

/** Objects below a prefix in key order. Azure can begin only at the beginning: what comes before `startAfter` is dropped. */
export async function* listObjects(calls: AzureCalls, prefix: string, options: ListOptions): AsyncIterable<ObjectInfo> {
  const { signal, startAfter = '' } = options;
  let token: string | undefined;
  do {
    const from = token;
    const page = await calls.send({ operation: 'ListBlobs', key: prefix, signal }, (send) =>
      firstPage(calls.container.listBlobsFlat({ prefix, ...send }).byPage(pageAfter(from))),
    );
    for (const { name, properties } of page?.segment.blobItems ?? []) {
      if (Buffer.compare(Buffer.from(name), Buffer.from(startAfter)) <= 0 && startAfter !== '') continue;
      const { contentLength: sizeBytes = 0, etag, lastModified } = properties;
      yield { key: name, sizeBytes, etag: unquoted(etag), lastModified };
    }
    token = nextToken(calls, prefix, page?.continuationToken, from);
  } while (token !== undefined);
}

/** Folders one level below a prefix. */
export async function* listFolders(calls: AzureCalls, prefix: string, { signal }: ListOptions): AsyncIterable<string> {
  let token: string | undefined;
  do {
    const from = token;
    const page = await calls.send({ operation: 'ListBlobs', key: prefix, signal }, (send) =>
      firstPage(calls.container.listBlobsByHierarchy('/', { prefix, ...send }).byPage(pageAfter(from))),
    );
    for (const { name } of page?.segment.blobPrefixes ?? []) yield name;
    token = nextToken(calls, prefix, page?.continuationToken, from);
  } while (token !== undefined);
}

function pageAfter(token: string | undefined) {
  return { maxPageSize: PAGE_KEYS, ...(token === undefined ? {} : { continuationToken: token }) };
}

async function firstPage<T>(pages: AsyncIterableIterator<T>): Promise<T | undefined> {
  const { value, done } = await pages.next();
  return done ? undefined : value;
}

function nextToken(calls: AzureCalls, prefix: string, next: string | undefined, last: string | undefined) {
  if (!next) return undefined;
  if (next !== last) return next;
  const reason = 'the store says that the listing goes on but gives the same page again';
  throw calls.error('broken', 'ListBlobs', prefix, reason);
}

/** Deletes in batches, or one by one where the store has no batches; remembers which. */
export class AzureDelete {
  readonly #calls: AzureCalls;
  readonly #note: (text: string) => void;
  #batches = true;

  constructor(calls: AzureCalls, note: (text: string) => void) {
    this.#calls = calls;
    this.#note = note;
  }

  async delete(keys: readonly string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[]> {
    const failures: StoreDeleteFailure[] = [];
    signal?.throwIfAborted();
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      const batch = keys.slice(from, from + DELETE_BATCH);
      failures.push(...((await this.#deleteBatch(batch, signal)) ?? (await this.#deleteSingly(batch, signal))));
    }
    return failures;
  }

  /** undefined when it is to be done one by one: a single key, or a store that has no batches. */
  async #deleteBatch(keys: string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[] | undefined> {
    if (!this.#batches || keys.length === 1) return undefined;
    const where = { operation: 'BlobBatch', key: `(${keys.length} objects)`, signal };
    try {
      const client = this.#calls.container.getBlobBatchClient();
      const blobs = keys.map((key) => this.#calls.blob(key));
      const { subResponses } = await this.#calls.send(where, (send) =>
        client.deleteBlobs(blobs, { deleteSnapshots: 'include', ...send }),
      );
      const answered = subResponses.filter(({ status }) => status === 202 || status === 404);
      // Whatever is left over is asked for again by itself, where its reason is a plain answer.
      if (answered.length === keys.length) return [];
      const done = new Set(answered.map(({ _request }) => _request.url));
      return this.#deleteSingly(
        keys.filter((key) => !done.has(this.#calls.blob(key).url)),
        signal,
      );
    } catch (error) {
      if (!(error instanceof StoreError) || error.retriable || error.failure === 'misconfigured') throw error;
      this.#batches = false;
      this.#note(`the store deletes no batches, so objects are deleted one by one: ${messageOf(error)}`);
      return undefined;
    }
  }

  #deleteSingly(keys: readonly string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[]> {
    return deleteSingly(keys, SINGLE_DELETES_AT_ONCE, (key) =>
      this.#calls.send({ operation: 'DeleteBlob', key, signal }, (send) =>
        this.#calls.blob(key).delete({ deleteSnapshots: 'include', ...send }),
      ),
    );
  }
}
