// The port to an object store: a few verbs with a written contract. One adapter for each vendor implements it; the
// behaviour suite in test/ runs over every adapter.
//
// Keys are complete (destination prefix included) and come from keys.ts only. Every failure is a StoreError, thrown
// after the adapter's own retries are used up. Every verb obeys its AbortSignal: it stops, releases its connection,
// leaves no upload open and rethrows the signal's reason.
import type { Readable } from 'node:stream';

/** What the store tells about an object. */
export type ObjectInfo = {
  key: string;
  sizeBytes: number;
  /** Changes when the content changes. Opaque. */
  etag: string;
  lastModified: Date;
  /** Of a put: the body went out in one request only and whole, so that its memory may be used again. */
  sentOnce?: boolean;
  /** User metadata, keys in lower case. Present in `head` and `get`, not in `list`. */
  metadata?: Record<string, string>;
};

export type PutOptions = {
  signal?: AbortSignal;
  metadata?: Record<string, string>;
  tags?: Record<string, string>;
  encryption?: { algorithm: 'AES256' | 'aws:kms'; kmsKeyId?: string };
  /**
   * `absent`: only if nothing is stored under the key; an ETag: only if exactly that is stored. Otherwise a StoreError
   * with failure `conflict`. Only honoured when `capabilities.conditionalPut`; callers look first where it is not.
   */
  onlyIf?: 'absent' | { etag: string };
};

export type GetOptions = {
  signal?: AbortSignal;
  /** First byte wanted. */
  offset?: number;
  /** Number of bytes wanted. */
  length?: number;
  /** Only if the object still has this ETag; otherwise a StoreError with failure `conflict`. */
  etag?: string;
};

/** Body of a put: whole bytes, or a stream whose length is known. */
export type PutBody = Uint8Array | { stream: () => Readable; sizeBytes: number };

/** Bytes of unknown total length, written in parts, visible only after `complete`. */
export interface MultipartUpload {
  /**
   * Uploads one part. Numbers start at 1 and may arrive in any order; all parts but the last have equal size. The
   * returned promise settles when the store has confirmed the part, which may be after those before it: who sends one
   * early must not wait for it before sending them.
   */
  part(number: number, bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<void>;
  /** Makes the object appear, whole. Returns what the store reports of it. */
  complete(options?: { signal?: AbortSignal }): Promise<ObjectInfo>;
  /** Throws everything away; never throws for an upload that is already gone or that the store cannot abort. */
  abort(): Promise<void>;
}

export type StoreCapabilities = {
  /**
   * `onlyIf` is known to be honoured by the store itself. Unknown counts as false and may become true: some stores
   * ignore the condition without a word, so an adapter believes it only after a proof (the first put with `absent`).
   * True is extra safety against races: callers always look first, and replace nothing on `{ etag }` while it is false.
   */
  conditionalPut: boolean;
  /** Smallest size of a part but the last, bytes. */
  minPartBytes: number;
  /** Largest number of parts of one object. */
  maxParts: number;
};

export interface ObjectStorage {
  /** `s3`, `azure`, `gcs`: for messages. */
  readonly provider: string;
  readonly capabilities: StoreCapabilities;

  /**
   * Stores an object in one request; returns after what the store tells of it (digest, else size) has been compared with
   * what was sent, and `sizeBytes` is what that has shown. Other bytes found there are removed: a StoreError `broken`.
   */
  put(key: string, body: PutBody, options?: PutOptions): Promise<ObjectInfo>;

  /** What is stored under the key; undefined only on a positive not-found in a reachable bucket. */
  head(key: string, options?: { signal?: AbortSignal }): Promise<ObjectInfo | undefined>;

  /**
   * Opens an object; undefined only on a positive not-found in a reachable bucket. The stream fails with a StoreError
   * when the body is cut short.
   */
  get(key: string, options?: GetOptions): Promise<{ info: ObjectInfo; body: Readable } | undefined>;

  /** Objects whose key starts with a prefix, in key order, page by page; stops when the caller stops. */
  list(prefix: string, options?: { signal?: AbortSignal; startAfter?: string }): AsyncIterable<ObjectInfo>;

  /** The distinct "folders" one level below a prefix that ends in `/` (or is empty), each ending in `/`. */
  listFolders(prefix: string, options?: { signal?: AbortSignal }): AsyncIterable<string>;

  /** Deletes objects; absent ones count as deleted. Returns what could not be deleted, and why. */
  delete(keys: readonly string[], options?: { signal?: AbortSignal }): Promise<StoreDeleteFailure[]>;

  /** Starts a multipart upload. */
  createMultipart(key: string, options?: Omit<PutOptions, 'onlyIf'>): Promise<MultipartUpload>;

  /**
   * Aborts multipart uploads under a prefix that were started before a time; returns their keys. Names none where the
   * store cannot list uploads.
   */
  abortOrphans(prefix: string, startedBefore: Date, options?: { signal?: AbortSignal }): Promise<string[]>;

  /** Releases sockets. */
  close(): void;
}

export type StoreDeleteFailure = { key: string; reason: string };
