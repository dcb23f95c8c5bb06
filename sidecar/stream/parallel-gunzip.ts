// Reads gzip, with several threads where full flushes have cut it (parallel-gzip.ts). A cut is guessed by its bytes and
// proven by unpacking the part alone, to its very end; one that does not is joined with the next. What is too long for that,
// and all after it, is read in order, with the last 32 KiB as the dictionary. Checksum and length prove the whole.
import { availableParallelism } from 'node:os';
import { crc32, inflateRaw } from 'node:zlib';
import { CorruptError } from '../../api/errors.ts';
import { gzipHeaderBytes } from './gzip-header.ts';
import { HeldBytes } from './held.ts';
import { OrderInflate } from './order-inflate.ts';
import { PacedTransform } from './paced.ts';

/** What parallel-gzip.ts writes comes out in one piece. */
const PART_CHUNK_BYTES = 1024 * 1024 + 1;
const CUT = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const LAST_BLOCK = Buffer.from([0x03, 0x00]);
/** A part may be as small as this; cuts nearer to each other are passed over. */
const LEAST_PART_BYTES = 32 * 1024;
/** A part that is longer, packed or unpacked, is read in order. */
const MOST_PART_BYTES = 4 * 1024 * 1024;
const WINDOW_BYTES = 32 * 1024;
const TRAILER_BYTES = 8;
const MOST_AT_ONCE = 8;

const FOLLOWED = 'gzip content is followed by something else';

type Part = { endAt: number; unpacked: Promise<Buffer | undefined> };

/**
 * Reads one or more members; CorruptError on truncation, damage or anything but zero bytes after the last. Memory: for each
 * core and one more a part of up to 4 MiB, packed and unpacked; 1 MiB with what parallel-gzip.ts writes.
 */
export class GunzipDecoder extends PacedTransform {
  readonly #parallel = Math.min(MOST_AT_ONCE, availableParallelism());
  readonly #held = new HeldBytes();
  #stage: 'header' | 'parts' | 'order' | 'trailer' | 'zeros' = 'header';
  /** Where the next part begins and where the search for its cut goes on, in #bytes. */
  #partAt = 0;
  #searchAt = 0;
  #parts: Part[] = [];
  #inflate: OrderInflate | undefined;
  #window: Buffer = Buffer.alloc(0);
  #checksum = 0;
  #sizeBytes = 0;
  #members = 0;
  #ended = false;

  get #bytes(): Buffer {
    return this.#held.bytes;
  }

  protected override async accept(chunk: Buffer): Promise<void> {
    this.#held.append(chunk);
    await this.#advance();
  }

  protected override async finish(): Promise<void> {
    this.#ended = true;
    await this.#advance();
    if (this.#stage !== 'zeros' && (this.#stage !== 'header' || this.#members === 0 || this.#bytes.length > 0)) {
      throw new CorruptError('truncated gzip content');
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#inflate?.destroy();
    callback(error);
  }

  async #advance(): Promise<void> {
    for (;;) {
      const before = this.#stage;
      if (before === 'header') this.#readHeader();
      else if (before === 'parts') await this.#readParts();
      else if (before === 'order') await this.#readInOrder();
      else if (before === 'trailer') this.#readTrailer();
      else this.#readZeros();
      if (this.#stage === before) return;
    }
  }

  #readHeader(): void {
    if (this.#bytes.length === 0) return;
    if (this.#members > 0 && this.#bytes[0] === 0) {
      this.#stage = 'zeros';
      return;
    }
    const headerBytes = gzipHeaderBytes(this.#bytes);
    if (headerBytes === 'short') return;
    if (headerBytes === 'none') {
      const first = this.#members === 0;
      throw new CorruptError(first ? 'not gzip content' : FOLLOWED, { certain: first });
    }
    this.#drop(headerBytes);
    this.#checksum = 0;
    this.#sizeBytes = 0;
    this.#window = Buffer.alloc(0);
    this.#partAt = 0;
    this.#searchAt = 0;
    this.#stage = 'parts';
  }

  async #readParts(): Promise<void> {
    while (this.#stage === 'parts') {
      this.#cutAhead();
      if (this.#parts.length === 0) {
        if (this.#ended || this.#bytes.length > MOST_PART_BYTES) this.#stage = 'order';
        return;
      }
      const isLong = this.#bytes.length - this.#partAt > MOST_PART_BYTES;
      if (this.#parts.length <= this.#parallel && !isLong && !this.#ended) return;
      await this.#giveFirstPart();
    }
  }

  #cutAhead(): void {
    while (this.#parts.length <= this.#parallel) {
      const cut = this.#bytes.indexOf(CUT, Math.max(this.#searchAt, this.#partAt + LEAST_PART_BYTES));
      if (cut < 0) {
        this.#searchAt = Math.max(this.#searchAt, this.#bytes.length - CUT.length + 1);
        return;
      }
      const endAt = cut + CUT.length;
      const packed = this.#bytes.subarray(this.#partAt, endAt);
      this.#parts.push({ endAt, unpacked: inflateAlone(packed) });
      this.#partAt = endAt;
      this.#searchAt = endAt;
    }
  }

  async #giveFirstPart(): Promise<void> {
    const part = this.#parts.shift();
    const unpacked = await part?.unpacked;
    if (part === undefined || unpacked === undefined) {
      this.#joinParts();
      return;
    }
    this.#drop(part.endAt);
    for (const later of this.#parts) later.endAt -= part.endAt;
    this.#partAt -= part.endAt;
    this.#searchAt -= part.endAt;
    await this.#giveContent(unpacked);
  }

  /** What looked like a cut was none, as one in some gigabytes is: the next one may be. */
  #joinParts(): void {
    const next = this.#parts.shift();
    if (next !== undefined && next.endAt <= MOST_PART_BYTES) {
      this.#parts.unshift({ endAt: next.endAt, unpacked: inflateAlone(this.#bytes.subarray(0, next.endAt)) });
      return;
    }
    this.#parts = [];
    this.#stage = 'order';
  }

  async #readInOrder(): Promise<void> {
    if (this.#bytes.length === 0) return;
    this.#inflate ??= new OrderInflate(this.#window);
    const { ended, usedBytes } = await this.#inflate.feed(this.#bytes, (output) => this.#giveContent(output));
    this.#drop(usedBytes);
    if (!ended) return;
    this.#inflate.destroy();
    this.#inflate = undefined;
    this.#stage = 'trailer';
  }

  #readTrailer(): void {
    if (this.#bytes.length < TRAILER_BYTES) return;
    const checksum = this.#bytes.readUInt32LE(0);
    const sizeBytes = this.#bytes.readUInt32LE(4);
    // The format counts modulo 2^32.
    if (checksum !== this.#checksum || sizeBytes !== this.#sizeBytes % 0x1_0000_0000) {
      throw new CorruptError('gzip content is damaged: checksum or length differs');
    }
    this.#drop(TRAILER_BYTES);
    this.#members++;
    this.#stage = 'header';
  }

  #readZeros(): void {
    if (this.#bytes.some((byte) => byte !== 0)) throw new CorruptError(FOLLOWED, { certain: false });
    this.#drop(this.#bytes.length);
  }

  async #giveContent(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    this.#checksum = crc32(bytes, this.#checksum);
    this.#sizeBytes += bytes.length;
    if (this.#stage === 'parts') this.#window = lastBytes(this.#window, bytes);
    await this.give(bytes);
  }

  #drop(countBytes: number): void {
    this.#held.drop(countBytes);
  }
}

/** Undefined when the part cannot stand alone. With an empty last block behind it, it must end there and nowhere else. */
function inflateAlone(part: Buffer): Promise<Buffer | undefined> {
  const packed = Buffer.concat([part, LAST_BLOCK]);
  return new Promise((resolve) => {
    const options = { chunkSize: PART_CHUNK_BYTES, maxOutputLength: MOST_PART_BYTES, info: true };
    inflateRaw(packed, options, (error, answer) => {
      resolve(error === null && isWhole(answer, packed.length) ? answer.buffer : undefined);
    });
  });
}

function isWhole(answer: unknown, sizeBytes: number): answer is { buffer: Buffer } {
  const { buffer, engine } = answer as { buffer: Buffer; engine: { bytesWritten: number } };
  return buffer instanceof Uint8Array && engine.bytesWritten === sizeBytes;
}

function lastBytes(before: Buffer, bytes: Buffer): Buffer {
  if (bytes.length >= WINDOW_BYTES) return Buffer.from(bytes.subarray(bytes.length - WINDOW_BYTES));
  return Buffer.concat([before.subarray(-(WINDOW_BYTES - bytes.length)), bytes]);
}
