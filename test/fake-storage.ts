// An object store in memory, faithful to the written contract of sidecar/store/store.ts: ETags, conditional puts, ranges,
// absent told from refused, and failures on demand. For tests of the rooms above the port; adapters have real servers.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { StoreError, type StoreFailure } from '../api/errors.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import type { StoreReference } from '../api/parameters.ts';
import type { Archive, Archives } from '../sidecar/store/archive.ts';
import { serverKeys } from '../sidecar/store/keys.ts';
import type {
  GetOptions,
  MultipartUpload,
  ObjectInfo,
  ObjectStorage,
  PutBody,
  PutOptions,
  StoreCapabilities,
  StoreDeleteFailure,
} from '../sidecar/store/store.ts';

export type Verb = 'put' | 'head' | 'get' | 'list' | 'delete' | 'multipart';
export type StoredObject = { bytes: Buffer; etag: string; lastModified: Date; options: Omit<PutOptions, 'signal'> };

const PAGE_KEYS = 1000;

export class FakeStorage implements ObjectStorage {
  readonly provider = 'fake';
  readonly capabilities: StoreCapabilities;
  readonly objects = new Map<string, StoredObject>();
  /** Every request in order: `put key`, `list prefix`. A listing counts once for each page. */
  readonly requests: string[] = [];
  /** Runs before each request is answered; may throw, wait, or change what is stored. */
  before: ((verb: Verb, key: string) => void | Promise<void>) | undefined;
  readonly #failures: { verb: Verb; error: Error }[] = [];

  constructor(capabilities: Partial<StoreCapabilities> = {}) {
    this.capabilities = { conditionalPut: true, minPartBytes: 5 * 1024 * 1024, maxParts: 10_000, ...capabilities };
  }

  /** Makes the next `times` requests of a verb fail. */
  fail(verb: Verb, failure: StoreFailure, times = 1): void {
    const facts = { failure, provider: this.provider, operation: verb, key: '(injected)', reason: 'injected failure' };
    for (let count = 0; count < times; count += 1) this.#failures.push({ verb, error: new StoreError(facts) });
  }

  /** Stores without a request, as another writer would have done before. */
  plant(key: string, content: string | Uint8Array, options: Omit<PutOptions, 'signal'> = {}): void {
    const bytes = Buffer.from(content);
    const etag = createHash('md5').update(bytes).digest('hex');
    this.objects.set(key, { bytes, etag, lastModified: new Date(), options });
  }

  async put(key: string, body: PutBody, options: PutOptions = {}): Promise<ObjectInfo> {
    await this.#request('put', key, options.signal);
    const bytes = body instanceof Uint8Array ? Buffer.from(body) : await buffer(body.stream());
    options.signal?.throwIfAborted();
    if (!(body instanceof Uint8Array) && bytes.length !== body.sizeBytes) {
      throw this.#error('broken', 'put', key, `body has ${bytes.length} bytes, announced were ${body.sizeBytes}`);
    }
    this.#checkCondition(key, options.onlyIf);
    const { signal: _, ...kept } = options;
    this.plant(key, bytes, kept);
    return this.#infoOf(key);
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectInfo | undefined> {
    await this.#request('head', key, options.signal);
    return this.objects.has(key) ? this.#infoOf(key, true) : undefined;
  }

  async get(key: string, options: GetOptions = {}): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
    await this.#request('get', key, options.signal);
    const stored = this.objects.get(key);
    if (stored === undefined) return undefined;
    if (options.etag !== undefined && options.etag !== stored.etag) {
      throw this.#error('conflict', 'get', key, 'the object has changed');
    }
    const start = options.offset ?? 0;
    const end = options.length === undefined ? stored.bytes.length : start + options.length;
    return { info: this.#infoOf(key, true), body: Readable.from(chunksOf(stored.bytes.subarray(start, end))) };
  }

  async *list(prefix: string, options: { signal?: AbortSignal; startAfter?: string } = {}): AsyncIterable<ObjectInfo> {
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > (options.startAfter ?? ''))
      .sort((a, b) => (a < b ? -1 : 1));
    for (let first = 0; first === 0 || first < keys.length; first += PAGE_KEYS) {
      await this.#request('list', prefix, options.signal);
      for (const key of keys.slice(first, first + PAGE_KEYS)) yield this.#infoOf(key);
    }
  }

  async *listFolders(prefix: string, options: { signal?: AbortSignal } = {}): AsyncIterable<string> {
    await this.#request('list', prefix, options.signal);
    const folders = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key.indexOf('/', prefix.length) >= 0)
      .map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1));
    yield* [...new Set(folders)].sort();
  }

  async delete(keys: readonly string[], options: { signal?: AbortSignal } = {}): Promise<StoreDeleteFailure[]> {
    await this.#request('delete', keys.join(' '), options.signal);
    for (const key of keys) this.objects.delete(key);
    return [];
  }

  async createMultipart(key: string, options: Omit<PutOptions, 'onlyIf'> = {}): Promise<MultipartUpload> {
    await this.#request('multipart', key, options.signal);
    const parts = new Map<number, Buffer>();
    return {
      part: async (number, bytes, partOptions = {}) => {
        await this.#request('multipart', `${key}#${number}`, partOptions.signal);
        parts.set(number, Buffer.from(bytes));
      },
      complete: async (completeOptions = {}) => {
        await this.#request('multipart', `${key}#complete`, completeOptions.signal);
        const { signal: _, ...kept } = options;
        this.plant(key, Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)), kept);
        return this.#infoOf(key);
      },
      abort: async () => parts.clear(),
    };
  }

  async abortOrphans(): Promise<string[]> {
    return [];
  }

  close(): void {}

  #checkCondition(key: string, onlyIf: PutOptions['onlyIf']): void {
    if (onlyIf === undefined || !this.capabilities.conditionalPut) return;
    const current = this.objects.get(key)?.etag;
    const met = onlyIf === 'absent' ? current === undefined : current === onlyIf.etag;
    if (!met) throw this.#error('conflict', 'put', key, 'the condition of the put is not met');
  }

  async #request(verb: Verb, key: string, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.requests.push(`${verb} ${key}`);
    const index = this.#failures.findIndex((failure) => failure.verb === verb);
    const [failure] = index < 0 ? [] : this.#failures.splice(index, 1);
    if (failure !== undefined) throw failure.error;
    await this.before?.(verb, key);
    signal?.throwIfAborted();
  }

  #infoOf(key: string, withMetadata = false): ObjectInfo {
    const stored = this.objects.get(key);
    if (stored === undefined) throw this.#error('absent', 'head', key, 'not stored');
    const { bytes, etag, lastModified, options } = stored;
    return {
      key,
      sizeBytes: bytes.length,
      etag,
      lastModified,
      ...(withMetadata ? { metadata: options.metadata ?? {} } : {}),
    };
  }

  #error(failure: StoreFailure, operation: string, key: string, reason: string): StoreError {
    return new StoreError({ failure, provider: this.provider, operation, key, reason });
  }
}

/** One server's place in a fake store, under the prefix `backups/`. */
export function fakeArchive(
  storage: FakeStorage,
  configuration: Partial<ObjectStore['spec']['configuration']> = {},
  reference: StoreReference = { objectStore: 'minio', serverName: 'pg' },
): Archive {
  return {
    objectStore: {
      metadata: { name: reference.objectStore, namespace: 'default' },
      spec: { configuration: { destinationPath: 's3://bucket/backups', ...configuration } },
    },
    serverName: reference.serverName,
    storage,
    keys: serverKeys('backups', reference.serverName),
    location: `ObjectStore ${reference.objectStore}, s3://bucket/backups/${reference.serverName}`,
  };
}

/** Archives over one fake store for each name; `opened` says what was asked for. */
export function fakeArchives(
  stores: Record<string, FakeStorage>,
  configuration: Partial<ObjectStore['spec']['configuration']> = {},
): Archives & { opened: StoreReference[] } {
  const opened: StoreReference[] = [];
  return {
    opened,
    async open(reference) {
      opened.push(reference);
      const storage = stores[reference.objectStore];
      if (storage === undefined) throw new Error(`no store ${reference.objectStore} in this test`);
      return fakeArchive(storage, configuration, reference);
    },
  };
}

function* chunksOf(bytes: Buffer): Iterable<Buffer> {
  for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536);
}
