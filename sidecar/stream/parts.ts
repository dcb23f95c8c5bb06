// A byte stream of unknown length into an object, in equal parts, with bounded memory: (parallel + 1) × part size.
import { createHash, type Hash } from 'node:crypto';
import { type Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { MultipartUpload, ObjectInfo, ObjectStorage, PutOptions } from '../store/store.ts';
import { returnBlock } from './blocks.ts';
import { BufferPool } from './buffers.ts';

export type UploadOptions = Omit<PutOptions, 'onlyIf'> & {
  /** Size of every part but the last, bytes. A stream that is not longer goes by a single put. */
  partBytes: number;
  /** Parts in flight at a time, 1 or more. */
  parallel: number;
  /** Also take the SHA-256 of what is uploaded. */
  sha256?: boolean;
};

/**
 * One upload with two parts in flight, and the one that is filled: the tars of a backup follow each other. Fresh memory for
 * each would cost its page faults, and be there twice until the garbage collector looks.
 */
const buffers = new BufferPool(3);

/**
 * Uploads everything that `source` gives and returns what the store reports. The store sets the pace. On any failure
 * `source` is destroyed, the parts in flight are stopped and waited for, the upload is aborted, and the first error is
 * thrown. Throws PreconditionError when the object would need more parts than the store allows.
 */
export async function uploadStream(
  storage: ObjectStorage,
  key: string,
  source: Readable,
  options: UploadOptions,
): Promise<ObjectInfo & { sha256?: string }> {
  const { minPartBytes } = storage.capabilities;
  if (options.partBytes < minPartBytes) {
    throw new InvalidInputError(
      'partBytes',
      options.partBytes,
      `use at least ${minPartBytes} bytes for ${storage.provider}`,
    );
  }
  const uploader = new PartUploader(storage, key, options);
  try {
    await pipeline(source, uploader, options.signal === undefined ? {} : { signal: options.signal });
    return await uploader.finish();
  } catch (error) {
    await uploader.abandon(error);
    options.signal?.throwIfAborted();
    throw error;
  }
}

/** Cuts into parts and sends them; `finish` makes the object appear. */
class PartUploader extends Writable {
  readonly #storage: ObjectStorage;
  readonly #key: string;
  readonly #options: UploadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #hash: Hash | undefined;
  readonly #inFlight = new Set<Promise<void>>();
  #current: Buffer;
  #filled = 0;
  #parts = 0;
  #upload: MultipartUpload | undefined;

  constructor(storage: ObjectStorage, key: string, options: UploadOptions) {
    super();
    this.#storage = storage;
    this.#key = key;
    this.#options = options;
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    this.#hash = options.sha256 === true ? createHash('sha256') : undefined;
    this.#current = this.#takeBuffer();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#hash?.update(chunk);
    this.#take(chunk).then(() => callback(), callback);
  }

  /** The last part, and the end. */
  async finish(): Promise<ObjectInfo & { sha256?: string }> {
    const last = this.#current.subarray(0, this.#filled);
    const info = this.#upload === undefined ? await this.#putAll(last) : await this.#complete(this.#upload, last);
    // A put that was repeated may still be sending what it had in its first attempt.
    if (this.#upload !== undefined || info.sentOnce === true) buffers.give(this.#current);
    return this.#hash === undefined ? info : { ...info, sha256: this.#hash.digest('hex') };
  }

  /** Stops and waits for what is in flight; the upload is gone afterwards unless the store does not let it go. */
  async abandon(reason: unknown): Promise<void> {
    this.#stop.abort(reason);
    await Promise.allSettled(this.#inFlight);
    // The first error is what counts; an upload that cannot be aborted now is an orphan that is found later.
    await this.#upload?.abort().catch(() => undefined);
  }

  /** A full buffer is sent only when more bytes come: the last part is `finish`'s, whatever its size. */
  async #take(chunk: Buffer): Promise<void> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#filled === this.#current.length) await this.#sendCurrent();
      const copied = chunk.copy(this.#current, this.#filled, offset);
      this.#filled += copied;
      offset += copied;
    }
    returnBlock(chunk);
  }

  async #sendCurrent(): Promise<void> {
    this.#upload ??= await this.#storage.createMultipart(this.#key, this.#attributes());
    await this.#startPart(this.#upload, this.#current, true);
    this.#current = this.#takeBuffer();
    this.#filled = 0;
  }

  #takeBuffer(): Buffer {
    const { partBytes } = this.#options;
    return buffers.take(partBytes).subarray(0, partBytes);
  }

  /** Begins when fewer than `parallel` are on their way. */
  async #startPart(upload: MultipartUpload, bytes: Buffer, isReusable: boolean): Promise<void> {
    this.#parts += 1;
    const { maxParts } = this.#storage.capabilities;
    if (this.#parts > maxParts) {
      throw new PreconditionError(
        `${this.#key} needs more than ${maxParts} parts of ${this.#options.partBytes} bytes`,
        {
          hint: 'use larger parts (--min-chunk-size) or smaller archives (--max-archive-size)',
        },
      );
    }
    while (this.#inFlight.size >= this.#options.parallel) await Promise.race(this.#inFlight);
    const sent = upload.part(this.#parts, bytes, { signal: this.#signal }).then(() => {
      if (isReusable) buffers.give(bytes);
    });
    const tracked = sent.finally(() => this.#inFlight.delete(tracked));
    this.#inFlight.add(tracked);
    // A failing part stops the stream at once, even while the source is silent.
    tracked.catch((error) => this.destroy(error));
  }

  async #complete(upload: MultipartUpload, last: Buffer): Promise<ObjectInfo> {
    await this.#startPart(upload, last, false);
    await Promise.all(this.#inFlight);
    return upload.complete({ signal: this.#signal });
  }

  #putAll(bytes: Buffer): Promise<ObjectInfo> {
    return this.#storage.put(this.#key, bytes, this.#attributes());
  }

  #attributes(): Omit<PutOptions, 'onlyIf'> {
    const { metadata, tags, encryption } = this.#options;
    return {
      signal: this.#signal,
      ...(metadata === undefined ? {} : { metadata }),
      ...(tags === undefined ? {} : { tags }),
      ...(encryption === undefined ? {} : { encryption }),
    };
  }
}
