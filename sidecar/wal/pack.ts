// One file made ready to be stored: digest and size of its content, and a body whose length is known.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { CorruptError, PreconditionError } from '../../api/errors.ts';
import type { PutBody } from '../store/store.ts';
import { BufferPool } from '../stream/buffers.ts';
import type { Codec } from '../stream/codec.ts';
import { Slots } from './slots.ts';

export type PackedFile = {
  /** SHA-256 of the content before packing, lower-case hex. */
  sha256: string;
  /** Size of the content before packing. */
  sizeBytes: number;
  body: PutBody;
  /** Size of the body. */
  storedBytes: number;
  /**
   * Gives the body's memory back to be used again. Only after the store has confirmed it: a request that failed may still
   * be sending. Without it the garbage collector takes it.
   */
  release(): void;
};

const READ_BYTES = 1024 * 1024;
/** No segment is larger (`initdb --wal-segsize`); it also bounds what is packed in memory. */
const MAX_FILE_BYTES = 1024 ** 3;
/** Formats grow what they cannot pack by less than this. */
const SLACK_BYTES = 256 * 1024;

/** More files packed at a time than there are cores take memory and gain nothing; more may be on their way to the store. */
const packers = new Slots(availableParallelism());
const reads = new BufferPool(availableParallelism());
/** As many as are in flight with the `maxParallel` that most people set. */
const bodies = new BufferPool(8);

/**
 * Reads a file once. Packed content is kept in memory, since the length of a body must be known before it is sent;
 * content that is not packed is read again from disk while it is sent, and must then be the same. Throws
 * PreconditionError when there is no such file, CorruptError when it changes while it is read.
 */
export function packFile(
  path: string,
  codec: Codec,
  signal: AbortSignal,
  options: { level?: number | undefined } = {},
): Promise<PackedFile> {
  return packers.run(signal, () => packNow(path, codec, signal, options.level));
}

async function packNow(
  path: string,
  codec: Codec,
  signal: AbortSignal,
  level: number | undefined,
): Promise<PackedFile> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (size > MAX_FILE_BYTES) throw new PreconditionError(`${path} has ${size} bytes: no WAL file is that large`);
    const packed = codec.name === 'none' ? undefined : new Packing(codec, size, level, signal);
    const seen = await readAll(file, size, signal, packed).catch((error: unknown) => {
      packed?.destroy();
      throw error;
    });
    const body = await packed?.end();
    const after = await file.stat();
    if (seen.sizeBytes !== size || after.size !== size) {
      throw changed(path, `${size} bytes first, ${seen.sizeBytes} read, ${after.size} at the end`);
    }
    const content = { sha256: seen.sha256, sizeBytes: size };
    if (body !== undefined) return { ...content, ...body };
    const stream = () => readAgain(path, size, seen.crc32);
    return { ...content, body: { stream, sizeBytes: size }, storedBytes: size, release: () => undefined };
  } finally {
    await file.close();
  }
}

type Seen = { sizeBytes: number; sha256: string; crc32: number };

/** Reads to the end, or a little beyond the size that it had, through one buffer, which the packing is done with after each write. */
async function readAll(
  file: FileHandle,
  sizeBytes: number,
  signal: AbortSignal,
  packing: Packing | undefined,
): Promise<Seen> {
  const buffer = reads.take(READ_BYTES);
  const sha256 = createHash('sha256');
  const seen = { sizeBytes: 0, crc32: 0 };
  for (;;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, seen.sizeBytes);
    if (bytesRead === 0) break;
    const chunk = buffer.subarray(0, bytesRead);
    sha256.update(chunk);
    seen.sizeBytes += bytesRead;
    if (seen.sizeBytes > sizeBytes) break;
    // Only what is read again has to be known again.
    if (packing === undefined) seen.crc32 = crc32(chunk, seen.crc32);
    else await packing.write(chunk);
  }
  reads.give(buffer);
  return { ...seen, sha256: sha256.digest('hex') };
}

/** A codec's output, gathered in one buffer that is used again. */
class Packing {
  readonly #encoder: Transform;
  readonly #body: Body;
  readonly #packed: Promise<void>;

  constructor(codec: Codec, sizeBytes: number, level: number | undefined, signal: AbortSignal) {
    this.#encoder = codec.encoder({ sizeBytes, ...(level === undefined ? {} : { level }) });
    this.#body = new Body(bodies.take(sizeBytes + SLACK_BYTES));
    this.#packed = pipeline(this.#encoder, this.#body, { signal });
    // It is awaited at the end; a write that fails tells sooner.
    this.#packed.catch(() => undefined);
  }

  /** Resolves when the encoder has taken all of the piece, and rejects with what has ended it. */
  async write(chunk: Buffer): Promise<void> {
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    this.#encoder.write(chunk, () => resolve());
    await Promise.race([taken, this.#packed]);
    if (this.#encoder.destroyed) await this.#packed;
  }

  async end(): Promise<Pick<PackedFile, 'body' | 'storedBytes' | 'release'>> {
    this.#encoder.end();
    await this.#packed;
    const { bytes, buffer } = this.#body;
    let released = false;
    const release = () => {
      if (!released) bodies.give(buffer);
      released = true;
    };
    return { body: bytes, storedBytes: bytes.length, release };
  }

  destroy(): void {
    this.#encoder.destroy();
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new PreconditionError(`there is no file ${path} to archive`, { cause: error });
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new PreconditionError(`${path} is not a regular file: nothing to archive`);
}

function readAgain(path: string, sizeBytes: number, crc: number): Transform {
  const source = createReadStream(path, { highWaterMark: READ_BYTES });
  const seal = new Seal(path, sizeBytes, crc);
  // Both directions: a body that is given up must not leave the file open.
  source.on('error', (error) => seal.destroy(error));
  seal.on('close', () => source.destroy());
  return source.pipe(seal);
}

function changed(path: string, facts: string): CorruptError {
  return new CorruptError(`${path} changed while it was archived: ${facts}`);
}

/**
 * Holds the last piece back until the whole content is known to be what was announced. The reader sets the pace. A CRC-32
 * tells a file that changed from one that did not, at a fraction of the cost of a second SHA-256.
 */
class Seal extends Transform {
  readonly #path: string;
  readonly #sizeBytes: number;
  readonly #expected: number;
  #seenBytes = 0;
  #crc32 = 0;
  #held: Buffer | undefined;

  constructor(path: string, sizeBytes: number, expected: number) {
    super({ highWaterMark: READ_BYTES });
    this.#path = path;
    this.#sizeBytes = sizeBytes;
    this.#expected = expected;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#seenBytes += chunk.length;
    this.#crc32 = crc32(chunk, this.#crc32);
    const ready = this.#held;
    this.#held = chunk;
    callback(null, ready);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#seenBytes === this.#sizeBytes && this.#crc32 === this.#expected) callback(null, this.#held);
    else
      callback(changed(this.#path, `${this.#first()}, ${this.#seenBytes} with ${hex(this.#crc32)} when it was sent`));
  }

  #first(): string {
    return `${this.#sizeBytes} bytes with CRC-32 ${hex(this.#expected)} first`;
  }
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

class Body extends Writable {
  buffer: Buffer;
  #sizeBytes = 0;

  constructor(buffer: Buffer) {
    super();
    this.buffer = buffer;
  }

  get bytes(): Buffer {
    return this.buffer.subarray(0, this.#sizeBytes);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.#sizeBytes + chunk.length > this.buffer.length) {
      const larger = Buffer.allocUnsafeSlow(2 * (this.#sizeBytes + chunk.length));
      this.bytes.copy(larger);
      this.buffer = larger;
    }
    chunk.copy(this.buffer, this.#sizeBytes);
    this.#sizeBytes += chunk.length;
    callback();
  }
}
