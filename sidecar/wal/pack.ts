// One file made ready to be stored: digest and size of its content, and a body whose length is known.

import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { CorruptError, PreconditionError } from '../../api/errors.ts';
import type { PutBody } from '../store/store.ts';
import type { Codec } from '../stream/codec.ts';
import { Digest } from '../stream/digest.ts';

export type PackedFile = {
  /** SHA-256 of the content before packing, lower-case hex. */
  sha256: string;
  /** Size of the content before packing. */
  sizeBytes: number;
  body: PutBody;
  /** Size of the body. */
  storedBytes: number;
};

const READ_BYTES = 256 * 1024;
/** No segment is larger (`initdb --wal-segsize`); it also bounds what is packed in memory. */
const MAX_FILE_BYTES = 1024 ** 3;

/**
 * Reads a file once. Packed content is kept in memory, since the length of a body must be known before it is sent;
 * content that is not packed is read again from disk while it is sent, and must then be the same. Throws
 * PreconditionError when there is no such file, CorruptError when it changes while it is read.
 */
export async function packFile(
  path: string,
  codec: Codec,
  signal: AbortSignal,
  options: { level?: number | undefined } = {},
): Promise<PackedFile> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (size > MAX_FILE_BYTES) throw new PreconditionError(`${path} has ${size} bytes: no WAL file is that large`);
    const digest = new Digest();
    const source = file.createReadStream({ autoClose: false, start: 0, highWaterMark: READ_BYTES });
    const checksum = new Checksum();
    const packed = codec.name === 'none' ? undefined : new Collector();
    if (packed === undefined) await pipeline(source, digest, checksum, { signal });
    else await pipeline(source, digest, encoder(codec, size, options.level), packed, { signal });
    const after = await file.stat();
    if (digest.sizeBytes !== size || after.size !== size) {
      throw changed(path, `${size} bytes first, ${digest.sizeBytes} read, ${after.size} at the end`);
    }
    const content = { sha256: digest.hex, sizeBytes: size };
    if (packed !== undefined) {
      const body = packed.bytes();
      return { ...content, body, storedBytes: body.length };
    }
    const stream = () => readAgain(path, size, checksum.crc32);
    return { ...content, body: { stream, sizeBytes: size }, storedBytes: size };
  } finally {
    await file.close();
  }
}

function encoder(codec: Codec, sizeBytes: number, level: number | undefined): Transform {
  return codec.encoder({ sizeBytes, ...(level === undefined ? {} : { level }) });
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

class Collector extends Writable {
  readonly #chunks: Buffer[] = [];

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#chunks.push(chunk);
    callback();
  }
}

/** Takes a CRC-32 and keeps nothing. */
class Checksum extends Writable {
  crc32 = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.crc32 = crc32(chunk, this.crc32);
    callback();
  }
}
