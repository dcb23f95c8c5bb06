// gzip with several threads, still one member, as old readers need: blocks of deflate that know nothing of each other, each
// ended by a full flush (the bytes 00 00 FF FF), behind one header and before one checksum. A reader that knows this can
// unpack the blocks at the same time (parallel-gunzip.ts); any other reads them in order.
import type { Transform } from 'node:stream';
import { crc32 } from 'node:zlib';
import { BlockEncoder } from './block-encoder.ts';
import { deflateBlock } from './deflate-streams.ts';

/** Barman's default level. */
const DEFAULT_LEVEL = 6;
/** An empty last block. */
const LAST_BLOCK = [0x03, 0x00];

/** Writes one member. Level 1 to 9, default 6. The threads are those of libuv (UV_THREADPOOL_SIZE). */
export function parallelGzipEncoder(options?: { level?: number }): Transform {
  const level = Math.min(9, Math.max(1, Math.trunc(options?.level ?? DEFAULT_LEVEL)));
  let checksum = 0;
  let sizeBytes = 0;
  return new BlockEncoder({
    // No name and no time: the same content gives the same object.
    begin: () => Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, level === 9 ? 2 : level === 1 ? 4 : 0, 0xff]),
    pack: (bytes) => {
      checksum = crc32(bytes, checksum);
      sizeBytes += bytes.length;
      return deflateBlock(bytes, level);
    },
    end: () => {
      const end = Buffer.from([...LAST_BLOCK, 0, 0, 0, 0, 0, 0, 0, 0]);
      end.writeUInt32LE(checksum, 2);
      // The format counts modulo 2^32.
      end.writeUInt32LE(sizeBytes % 0x1_0000_0000, 6);
      return end;
    },
  });
}
