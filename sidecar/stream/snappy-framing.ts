// Snappy's framing format: chunks of 64 KiB, each with the masked CRC-32C of its content.
import type { Transform } from 'node:stream';
import { CorruptError, messageOf } from '../../api/errors.ts';
import { BlockEncoder } from './block-encoder.ts';
import { lendOnce, returnBlock } from './blocks.ts';
import { HeldBytes } from './held.ts';
import { codecLibrary } from './libraries.ts';
import { PacedTransform } from './paced.ts';

const CHUNK_BYTES = 64 * 1024;
/** Several chunks at a time keep the threads busy. */
const BLOCK_BYTES = 16 * CHUNK_BYTES;
const STREAM_IDENTIFIER = Buffer.from('ff060000734e61507059', 'hex');
const PACKED = 0x00;
const RAW = 0x01;
/** Chunks of this type and above may be passed over. */
const FIRST_SKIPPABLE = 0x80;
const IDENTIFIER = 0xff;
const HEADER_BYTES = 4;
const CHECKSUM_BYTES = 4;

/** Writes one stream identifier, then chunks. The format has no levels. */
export function snappyEncoder(): Transform {
  return new BlockEncoder({
    begin: () => STREAM_IDENTIFIER,
    pack: async (bytes) => {
      const chunks: Promise<Buffer>[] = [];
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
        chunks.push(packChunk(bytes.subarray(at, at + CHUNK_BYTES)));
      return lendOnce(Buffer.concat(await Promise.all(chunks)));
    },
    end: () => Buffer.alloc(0),
  });
}

async function packChunk(bytes: Buffer): Promise<Buffer> {
  const { compressSync } = await codecLibrary('snappy');
  // As fast as the asynchronous call, whose memory in libuv's threads piles up before it is freed.
  const packed = compressSync(bytes);
  // As the format's own writer decides: raw, when an eighth is not saved.
  const worthIt = packed.length < bytes.length - (bytes.length >> 3);
  const body = worthIt ? packed : bytes;
  const chunk = Buffer.allocUnsafeSlow(HEADER_BYTES + CHECKSUM_BYTES + body.length);
  chunk[0] = worthIt ? PACKED : RAW;
  chunk.writeUIntLE(CHECKSUM_BYTES + body.length, 1, 3);
  chunk.writeUInt32LE(await maskedChecksum(bytes), HEADER_BYTES);
  body.copy(chunk, HEADER_BYTES + CHECKSUM_BYTES);
  returnBlock(lendOnce(packed));
  return chunk;
}

async function maskedChecksum(bytes: Buffer): Promise<number> {
  const { crc32c } = await codecLibrary('CRC-32C of snappy');
  const checksum = crc32c(bytes);
  return (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
}

/** Reads streams; CorruptError on truncation, damage or anything that is no chunk. Memory: 32 chunks and one input. */
export class SnappyDecoder extends PacedTransform {
  readonly #held = new HeldBytes();
  #begun = false;

  protected override async accept(chunk: Buffer): Promise<void> {
    this.#held.append(chunk);
    for (;;) {
      const chunks: Promise<Buffer>[] = [];
      while (chunks.length < BLOCK_BYTES / CHUNK_BYTES) {
        const unpacked = this.#readChunk();
        if (unpacked === undefined) break;
        chunks.push(unpacked);
      }
      if (chunks.length === 0) return;
      await this.give(Buffer.concat(await Promise.all(chunks)));
    }
  }

  protected override async finish(): Promise<void> {
    if (!this.#begun || this.#held.sizeBytes > 0) throw new CorruptError('truncated snappy content');
  }

  /** Undefined when more must come first. */
  #readChunk(): Promise<Buffer> | undefined {
    const bytes = this.#held.bytes;
    if (bytes.length < HEADER_BYTES) return undefined;
    const type = bytes[0] ?? 0;
    const end = HEADER_BYTES + bytes.readUIntLE(1, 3);
    if (!this.#begun && type !== IDENTIFIER) throw new CorruptError('not snappy framing: no stream identifier');
    if (type > RAW && type < FIRST_SKIPPABLE) throw new CorruptError(`snappy content is damaged: chunk type ${type}`);
    const mostBytes = HEADER_BYTES + CHECKSUM_BYTES + CHUNK_BYTES + (CHUNK_BYTES >> 1);
    if (type <= RAW && end > mostBytes) throw new CorruptError('snappy content is damaged: a chunk is too long');
    if (bytes.length < end) return undefined;
    const chunk = bytes.subarray(0, end);
    this.#held.drop(end);
    if (type === IDENTIFIER) {
      if (!chunk.equals(STREAM_IDENTIFIER)) throw new CorruptError('not snappy framing: wrong stream identifier');
      this.#begun = true;
    }
    return type <= RAW ? unpackChunk(type, chunk) : Promise.resolve(Buffer.alloc(0));
  }
}

async function unpackChunk(type: number, chunk: Buffer): Promise<Buffer> {
  const packed = chunk.subarray(HEADER_BYTES + CHECKSUM_BYTES);
  const bytes = type === RAW ? Buffer.from(packed) : await unpackBody(packed);
  if (bytes.length > CHUNK_BYTES || (await maskedChecksum(bytes)) !== chunk.readUInt32LE(HEADER_BYTES)) {
    throw new CorruptError('snappy content is damaged: the checksum of a chunk differs');
  }
  return bytes;
}

async function unpackBody(packed: Buffer): Promise<Buffer> {
  // The size comes first, seven bits a byte: it must not make the library ask for gigabytes.
  if (packed.length === 0 || ((packed[0] ?? 0) & (packed[1] ?? 0) & 0x80 && (packed[2] ?? 0) > 4)) {
    throw new CorruptError('snappy content is damaged: a chunk is too large');
  }
  const { uncompressSync } = await codecLibrary('snappy');
  try {
    const bytes = uncompressSync(packed);
    return typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  } catch (error) {
    throw new CorruptError(`snappy content is damaged: ${messageOf(error)}`, { cause: error });
  }
}
