// zstd through node:zlib: one frame with checksum and, when known, content size, so that no truncation goes unseen
// (object-store-layout.md §12 row 4).
import type { Transform } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import { corruptOnZlibError } from './zlib-corrupt.ts';

const CHUNK_BYTES = 256 * 1024;
/** Barman's default level. */
const DEFAULT_LEVEL = 4;

/** Writes one frame. Level -22 to 22, default 4. */
export function zstdEncoder(options?: { level?: number; sizeBytes?: number }): Transform {
  const level = Math.min(22, Math.max(-22, Math.trunc(options?.level ?? DEFAULT_LEVEL)));
  return createZstdCompress({
    chunkSize: CHUNK_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
    ...(options?.sizeBytes === undefined ? {} : { pledgedSrcSize: options.sizeBytes }),
  });
}

/**
 * Reads one frame; CorruptError on truncation, damage or anything after it. node:zlib stops silently after the first
 * frame unless told to refuse what follows, so a second frame is refused too rather than dropped.
 */
export function zstdDecoder(): Transform {
  return corruptOnZlibError(createZstdDecompress({ chunkSize: CHUNK_BYTES, rejectGarbageAfterEnd: true }), 'zstd');
}
