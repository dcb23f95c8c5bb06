// Which PostgreSQL system wrote something: its identifier in the control file and in the first page of each segment
// (pg_control.h, xlog_internal.h: XLogLongPageHeaderData). Little endian, as all machines that CloudNativePG runs on.
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CorruptError, messageOf, PreconditionError } from '../../api/errors.ts';
import { isSegmentSize } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import type { StoredWal } from './stored.ts';

const HEADER_BYTES = 64;
const LONG_HEADER = 0x0002;

/** The identifier of a data directory. Throws PreconditionError when its control file cannot be read. */
export async function systemIdOfData(pgdata: string): Promise<bigint> {
  const path = join(pgdata, 'global', 'pg_control');
  try {
    const head = await readHead(path, 8);
    if (head.length === 8) return head.readBigUInt64LE();
  } catch (error) {
    throw new PreconditionError(`cannot tell whose WAL this is: ${messageOf(error)}`, { cause: error });
  }
  throw new PreconditionError(`cannot tell whose WAL this is: ${path} is too short`);
}

/** The identifier in a local segment; undefined for files that are none, such as history files. */
export async function systemIdOfFile(path: string): Promise<bigint | undefined> {
  return systemIdOfHeader(await readHead(path, HEADER_BYTES));
}

/**
 * The identifier in a stored segment; undefined when it is gone, cannot be decoded, or does not begin like a segment.
 * Reads no more than its beginning. Throws StoreError.
 */
export async function systemIdOfStored(
  archive: Archive,
  stored: StoredWal,
  signal: AbortSignal,
): Promise<bigint | undefined> {
  const raw = stored.codec.name === 'none';
  const enough = new AbortController();
  const head = new Head(() => enough.abort());
  try {
    const decoder = stored.codec.decoder();
    const answer = await archive.storage.get(stored.key, { signal, ...(raw ? { length: HEADER_BYTES } : {}) });
    if (answer === undefined) return undefined;
    await pipeline(answer.body, decoder, head, { signal: AbortSignal.any([signal, enough.signal]) });
  } catch (error) {
    signal.throwIfAborted();
    const unreadable = error instanceof CorruptError || error instanceof PreconditionError;
    if (!unreadable && !enough.signal.aborted) throw error;
  }
  return systemIdOfHeader(head.bytes());
}

/** Reads the header of a segment's first page; undefined for anything else. */
export function systemIdOfHeader(header: Buffer): bigint | undefined {
  if (header.length < 40) return undefined;
  const magic = header.readUInt16LE(0);
  const isLong = (header.readUInt16LE(2) & LONG_HEADER) !== 0;
  if (magic >> 12 !== 0xd || !isLong || !isSegmentSize(header.readUInt32LE(32))) return undefined;
  return header.readBigUInt64LE(24);
}

async function readHead(path: string, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Keeps the first bytes and says when it has them; the reader stops then. */
class Head extends Writable {
  #bytes = Buffer.alloc(0);
  readonly #full: () => void;

  constructor(full: () => void) {
    super();
    this.#full = full;
  }

  bytes(): Buffer {
    return this.#bytes;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, HEADER_BYTES - this.#bytes.length)]);
    if (this.#bytes.length === HEADER_BYTES) this.#full();
    callback();
  }
}
