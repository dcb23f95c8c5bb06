// Reads LZ4 frames: independent blocks, and linked ones (barman's) with the last 64 KiB in hand.
import { CorruptError, messageOf } from '../../api/errors.ts';
import { HeldBytes } from './held.ts';
import { codecLibrary } from './libraries.ts';
import { headerChecksum, LZ4_MAGIC, STORED } from './lz4.ts';
import { PacedTransform } from './paced.ts';
import { XxHash32 } from './xxhash32.ts';

const SKIPPABLE_MAGIC = 0x184d2a50;
const WINDOW_BYTES = 64 * 1024;
/** Sizes by the code in the descriptor. */
const BLOCK_BYTES = new Map([
  [4, 64 * 1024],
  [5, 256 * 1024],
  [6, 1024 * 1024],
  [7, 4 * 1024 * 1024],
]);

type Frame = {
  blockBytes: number;
  linked: boolean;
  blockChecksums: boolean;
  sizeBytes: bigint | undefined;
  checksum: XxHash32 | undefined;
};

type Unpack = Awaited<ReturnType<typeof codecLibrary<'lz4'>>>['uncompressSync'];

/**
 * Reads one or more frames; CorruptError on truncation, damage or anything but a frame after the last. Memory: one block of
 * at most 4 MiB, packed and unpacked (1 MiB with what lz4.ts writes).
 */
export class Lz4Decoder extends PacedTransform {
  readonly #held = new HeldBytes();
  #unpackBlock: Unpack | undefined;
  /** A packed block with its size in front, as the library takes it. */
  #room: Buffer = Buffer.alloc(0);
  #frame: Frame | undefined;
  #window: Buffer = Buffer.alloc(0);
  #frames = 0;
  #sizeBytes = 0;

  protected override async accept(chunk: Buffer): Promise<void> {
    // Not its asynchronous call: what that allocates in libuv's threads piles up to half a gigabyte before it is freed.
    this.#unpackBlock ??= (await codecLibrary('lz4')).uncompressSync;
    this.#held.append(chunk);
    while (await this.#step());
  }

  protected override async finish(): Promise<void> {
    if (this.#frame !== undefined || this.#held.sizeBytes > 0 || this.#frames === 0) {
      throw new CorruptError('truncated lz4 content');
    }
  }

  /** Reads a header, a block or an end; false when more must come first. */
  #step(): Promise<boolean> | boolean {
    if (this.#frame !== undefined) return this.#readBlock(this.#frame);
    return this.#readHeader(this.#held.bytes);
  }

  #readHeader(bytes: Buffer): boolean {
    if (bytes.length < 4) return false;
    const magic = bytes.readUInt32LE(0);
    if ((magic & 0xffff_fff0) >>> 0 === SKIPPABLE_MAGIC) {
      const skipped = bytes.length < 8 ? Number.POSITIVE_INFINITY : 8 + bytes.readUInt32LE(4);
      if (bytes.length < skipped) return false;
      this.#held.drop(skipped);
      return true;
    }
    if (magic !== LZ4_MAGIC) {
      const first = this.#frames === 0;
      throw new CorruptError(first ? 'not an lz4 frame' : 'not lz4 after a frame', { certain: first });
    }
    if (bytes.length < 7) return false;
    const flags = bytes[4] ?? 0;
    const hasSize = (flags & 0x08) !== 0;
    const headerBytes = hasSize ? 15 : 7;
    if (bytes.length < headerBytes) return false;
    const blockBytes = BLOCK_BYTES.get(((bytes[5] ?? 0) >> 4) & 7);
    const known = flags >> 6 === 1 && (flags & 0x03) === 0 && blockBytes !== undefined;
    if (!known || headerChecksum(bytes.subarray(4, headerBytes - 1)) !== bytes[headerBytes - 1]) {
      throw new CorruptError('lz4 content is damaged: its header is wrong or asks for a dictionary', {
        certain: false,
      });
    }
    this.#frame = {
      blockBytes,
      linked: (flags & 0x20) === 0,
      blockChecksums: (flags & 0x10) !== 0,
      sizeBytes: hasSize ? bytes.readBigUInt64LE(6) : undefined,
      checksum: (flags & 0x04) === 0 ? undefined : new XxHash32(),
    };
    this.#frames++;
    this.#sizeBytes = 0;
    this.#window = Buffer.alloc(0);
    this.#held.drop(headerBytes);
    return true;
  }

  async #readBlock(frame: Frame): Promise<boolean> {
    const bytes = this.#held.bytes;
    if (bytes.length < 4) return false;
    const word = bytes.readUInt32LE(0);
    if (word === 0) return this.#readEnd(frame);
    const packedBytes = word % STORED;
    if (packedBytes > frame.blockBytes) throw new CorruptError('lz4 content is damaged: a block is too long');
    const end = 4 + packedBytes;
    if (bytes.length < end + (frame.blockChecksums ? 4 : 0)) return false;
    const packed = bytes.subarray(4, end);
    if (frame.blockChecksums && new XxHash32().update(packed).digest() !== bytes.readUInt32LE(end)) {
      throw new CorruptError('lz4 content is damaged: the checksum of a block differs');
    }
    const unpacked = word >= STORED ? Buffer.from(packed) : this.#unpack(frame, packed);
    this.#held.drop(end + (frame.blockChecksums ? 4 : 0));
    frame.checksum?.update(unpacked);
    this.#sizeBytes += unpacked.length;
    if (frame.linked) this.#keepWindow(unpacked);
    await this.give(unpacked);
    return true;
  }

  #unpack(frame: Frame, packed: Buffer): Buffer {
    if (this.#room.length < 4 + packed.length) this.#room = Buffer.allocUnsafeSlow(4 + frame.blockBytes);
    const sized = this.#room.subarray(0, 4 + packed.length);
    // The library takes the largest size that may come out in front.
    sized.writeUInt32LE(frame.blockBytes, 0);
    packed.copy(sized, 4);
    const window = this.#window;
    const unpackBlock = this.#unpackBlock as Unpack;
    try {
      return window.length === 0 ? unpackBlock(sized) : unpackBlock(sized, window);
    } catch (error) {
      throw new CorruptError(`lz4 content is damaged: ${messageOf(error)}`, { cause: error });
    }
  }

  #keepWindow(bytes: Buffer): void {
    const before = this.#window.subarray(-Math.max(1, WINDOW_BYTES - bytes.length));
    this.#window = bytes.length >= WINDOW_BYTES ? bytes.subarray(-WINDOW_BYTES) : Buffer.concat([before, bytes]);
  }

  #readEnd(frame: Frame): boolean {
    const bytes = this.#held.bytes;
    const endBytes = frame.checksum === undefined ? 4 : 8;
    if (bytes.length < endBytes) return false;
    if (frame.sizeBytes !== undefined && frame.sizeBytes !== BigInt(this.#sizeBytes)) {
      throw new CorruptError(`lz4 content is damaged: ${this.#sizeBytes} bytes instead of ${frame.sizeBytes}`);
    }
    if (frame.checksum !== undefined && frame.checksum.digest() !== bytes.readUInt32LE(4)) {
      throw new CorruptError('lz4 content is damaged: the checksum differs');
    }
    this.#held.drop(endBytes);
    this.#frame = undefined;
    return true;
  }
}
