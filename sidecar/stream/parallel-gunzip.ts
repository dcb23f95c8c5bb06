// Reads gzip, with several threads where full flushes have cut it (parallel-gzip.ts). A cut is guessed by its bytes and
// proven by unpacking the part alone, to its very end; the first part that does not, and all after it, is read in order,
// with the last 32 KiB as the dictionary. Checksum and length prove the whole.
import { availableParallelism } from 'node:os';
import { crc32, createInflateRaw, type InflateRaw, inflateRaw } from 'node:zlib';
import { CorruptError, messageOf } from '../../api/errors.ts';
import { gzipHeaderBytes } from './gzip-header.ts';
import { HeldBytes } from './held.ts';
import { PacedTransform } from './paced.ts';
import { provesDamage } from './zlib-corrupt.ts';

const CHUNK_BYTES = 256 * 1024;
/** What parallel-gzip.ts writes comes out in one piece. */
const PART_CHUNK_BYTES = 1024 * 1024 + 1;
/** What is fed at a time in order: it can become a thousand times as much, all of it at once. */
const BITE_BYTES = 8 * 1024;
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
 * core one part of up to 4 MiB, packed and unpacked; 1 MiB with what parallel-gzip.ts writes.
 */
export class GunzipDecoder extends PacedTransform {
  readonly #parallel = Math.min(MOST_AT_ONCE, availableParallelism());
  readonly #held = new HeldBytes();
  #stage: 'header' | 'parts' | 'order' | 'trailer' | 'zeros' = 'header';
  /** Where the next part begins and where the search for its cut goes on, in #bytes. */
  #partAt = 0;
  #searchAt = 0;
  #parts: Part[] = [];
  #inflate: InflateRaw | undefined;
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
      if (this.#parts.length <= this.#parallel && !this.#ended) return;
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
      this.#parts = [];
      this.#stage = 'order';
      return;
    }
    this.#drop(part.endAt);
    for (const later of this.#parts) later.endAt -= part.endAt;
    this.#partAt -= part.endAt;
    this.#searchAt -= part.endAt;
    await this.#giveContent(unpacked);
  }

  async #readInOrder(): Promise<void> {
    const inflate = this.#startInflate();
    while (this.#bytes.length > 0) {
      const bite = this.#bytes.subarray(0, BITE_BYTES);
      const { outputs, ended, usedBytes } = await feed(inflate, bite);
      for (const output of outputs) await this.#giveContent(output);
      this.#drop(usedBytes);
      if (!ended) continue;
      inflate.destroy();
      this.#inflate = undefined;
      this.#stage = 'trailer';
      return;
    }
  }

  #startInflate(): InflateRaw {
    if (this.#inflate !== undefined) return this.#inflate;
    const dictionary = this.#window.length === 0 ? {} : { dictionary: this.#window };
    this.#inflate = createInflateRaw({ chunkSize: CHUNK_BYTES, ...dictionary });
    return this.#inflate;
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

/** Feeds some bytes; `ended` when the last block is done, and then `usedBytes` may be less than all. */
function feed(inflate: InflateRaw, bite: Buffer): Promise<{ outputs: Buffer[]; ended: boolean; usedBytes: number }> {
  const before = inflate.bytesWritten;
  const outputs: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const onData = (output: Buffer): void => {
      outputs.push(output);
    };
    const onEnd = (): void => finish(true);
    const onError = (error: Error): void => {
      const facts = { cause: error, certain: provesDamage(error) };
      reject(new CorruptError(`gzip content is damaged: ${messageOf(error)}`, facts));
    };
    const finish = (ended: boolean): void => {
      inflate.off('data', onData).off('end', onEnd).off('error', onError);
      resolve({ outputs, ended, usedBytes: inflate.bytesWritten - before });
    };
    inflate.on('data', onData).on('end', onEnd).on('error', onError);
    inflate.write(bite, () => {
      // Output may still be on its way; what was not used means that the end is, too.
      if (inflate.bytesWritten - before === bite.length) setImmediate(() => finish(false));
    });
  });
}

function lastBytes(before: Buffer, bytes: Buffer): Buffer {
  if (bytes.length >= WINDOW_BYTES) return Buffer.from(bytes.subarray(bytes.length - WINDOW_BYTES));
  return Buffer.concat([before.subarray(-(WINDOW_BYTES - bytes.length)), bytes]);
}
