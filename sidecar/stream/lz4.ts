// LZ4 as one frame of independent blocks, packed several at a time; frames of all kinds are read by lz4-decoder.ts.
import type { Transform } from 'node:stream';
import { InvalidInputError } from '../../api/errors.ts';
import { BlockEncoder } from './block-encoder.ts';
import { lendOnce } from './blocks.ts';
import { codecLibrary } from './libraries.ts';
import { XxHash32 } from './xxhash32.ts';

export const LZ4_MAGIC = 0x184d2204;
/** Blocks of 1 MiB at most, as BLOCK_BYTES: a code of the format. */
const BLOCK_CODE = 6;
/** Version 1, blocks that do not refer to each other, a checksum of the content: without it damage can go unseen. */
const FLAGS = 0x64;
const HAS_CONTENT_SIZE = 0x08;
/** In a block's length: its bytes are as they were. */
export const STORED = 0x8000_0000;

/**
 * Writes one frame, with the content's size when that is known. `level` is not used: the fast packer has only one. Throws
 * InvalidInputError at the end when `sizeBytes` was wrong, because no reader would take the frame.
 */
export function lz4Encoder(options?: { level?: number; sizeBytes?: number }): Transform {
  const checksum = new XxHash32();
  let sizeBytes = 0;
  return new BlockEncoder({
    begin: () => frameHeader(options?.sizeBytes),
    pack: (bytes) => {
      sizeBytes += bytes.length;
      checksum.update(bytes);
      return packBlock(bytes);
    },
    end: () => {
      if (options?.sizeBytes !== undefined && options.sizeBytes !== sizeBytes) {
        throw new InvalidInputError('sizeBytes', options.sizeBytes, `the content has ${sizeBytes} bytes`);
      }
      const end = Buffer.alloc(8);
      end.writeUInt32LE(checksum.digest(), 4);
      return end;
    },
  });
}

function frameHeader(sizeBytes: number | undefined): Buffer {
  const header = Buffer.alloc(sizeBytes === undefined ? 7 : 15);
  header.writeUInt32LE(LZ4_MAGIC, 0);
  header[4] = sizeBytes === undefined ? FLAGS : FLAGS | HAS_CONTENT_SIZE;
  header[5] = BLOCK_CODE << 4;
  if (sizeBytes !== undefined) header.writeBigUInt64LE(BigInt(sizeBytes), 6);
  header[header.length - 1] = headerChecksum(header.subarray(4, -1));
  return header;
}

/** The second byte of the hash of the frame's descriptor. */
export function headerChecksum(descriptor: Buffer): number {
  return (new XxHash32().update(descriptor).digest() >>> 8) & 255;
}

async function packBlock(bytes: Buffer): Promise<Buffer> {
  // On this thread: called on others, the library's allocator keeps memory for each of them, hundreds of mebibytes in a long
  // stream, and a container that is held to 512 of them ends. A block takes a millisecond.
  const { compressSync } = await codecLibrary('lz4');
  // The library puts the unpacked size, 4 bytes, in front: just the room for the packed one.
  const packed = compressSync(bytes);
  if (packed.length - 4 < bytes.length) {
    packed.writeUInt32LE(packed.length - 4, 0);
    return lendOnce(packed);
  }
  const stored = Buffer.allocUnsafeSlow(4 + bytes.length);
  stored.writeUInt32LE((bytes.length | STORED) >>> 0, 0);
  bytes.copy(stored, 4);
  return lendOnce(stored);
}
