// The codec libraries as such, called the cheapest way there is. What they write here need not be readable.
import { promisify } from 'node:util';
import {
  constants,
  deflateRaw,
  gunzip,
  gzip,
  inflateRaw,
  type ZlibOptions,
  type ZstdOptions,
  zstdCompress,
  zstdDecompress,
} from 'node:zlib';
import {
  compress as lz4Block,
  decompressFrame as lz4Decompress,
  compressFrame as lz4Frame,
  uncompress as lz4Unblock,
} from 'lz4-napi';
import type { CodecName } from './options.ts';

type Pack = (bytes: Buffer, level: number | undefined) => Promise<Buffer>;

const deflateAsync = promisify<Buffer, ZlibOptions, Buffer>(deflateRaw);
const inflateAsync = promisify<Buffer, ZlibOptions, Buffer>(inflateRaw);
const gzipAsync = promisify<Buffer, ZlibOptions, Buffer>(gzip);
const gunzipAsync = promisify<Buffer, ZlibOptions, Buffer>(gunzip);
const zstdAsync = promisify<Buffer, ZstdOptions, Buffer>(zstdCompress);
const unzstdAsync = promisify<Buffer, ZstdOptions, Buffer>(zstdDecompress);

const BLOCK_BYTES = 1024 * 1024;
/** With zlib's own pieces of 16 KiB everything costs 10 % more. */
const chunkSize = 256 * 1024;

const gzipOptions = (level: number | undefined) => ({ chunkSize, ...(level === undefined ? {} : { level }) });
const zstdOptions = (level: number | undefined) => ({
  chunkSize,
  params: { [constants.ZSTD_c_compressionLevel]: level ?? constants.ZSTD_CLEVEL_DEFAULT },
});

/** One segment whole, on one core: many of them fill all cores. */
const WHOLE: Partial<Record<CodecName, Pack>> = {
  gzip: (bytes, level) => gzipAsync(bytes, gzipOptions(level)),
  zstd: (bytes, level) => zstdAsync(bytes, zstdOptions(level)),
  lz4: (bytes) => lz4Frame(bytes),
};

const BLOCK: Partial<Record<CodecName, Pack>> = {
  gzip: (bytes, level) => deflateAsync(bytes, gzipOptions(level)),
  zstd: (bytes, level) => zstdAsync(bytes, zstdOptions(level)),
  lz4: (bytes) => lz4Block(bytes),
};

const DECODE: Partial<Record<CodecName, (bytes: Buffer) => Promise<Buffer>>> = {
  gzip: (bytes) => gunzipAsync(bytes, { chunkSize }),
  zstd: (bytes) => unzstdAsync(bytes, { chunkSize }),
  lz4: (bytes) => lz4Decompress(bytes),
};

const UNBLOCK: Partial<Record<CodecName, (bytes: Buffer) => Promise<Buffer>>> = {
  gzip: (bytes) => inflateAsync(bytes, { chunkSize }),
  zstd: (bytes) => unzstdAsync(bytes, { chunkSize }),
  lz4: (bytes) => lz4Unblock(bytes),
};

/** Codecs that a library to compare with exists for. */
export function hasFloor(codec: CodecName): boolean {
  return codec === 'none' || BLOCK[codec] !== undefined;
}

export async function packWhole(codec: CodecName, bytes: Buffer, level: number | undefined): Promise<Buffer> {
  return (await WHOLE[codec]?.(bytes, level)) ?? bytes;
}

/** One block, for itself. */
export async function packBlock(codec: CodecName, bytes: Buffer, level: number | undefined): Promise<Buffer> {
  return (await BLOCK[codec]?.(bytes, level)) ?? bytes;
}

/** What `packBlock` has written. */
export async function unpackBlock(codec: CodecName, bytes: Buffer): Promise<Buffer> {
  return (await UNBLOCK[codec]?.(bytes)) ?? bytes;
}

/** One segment on all cores: blocks that know nothing of each other. */
export async function packOnAllCores(codec: CodecName, bytes: Buffer, level: number | undefined): Promise<Buffer> {
  const pack = BLOCK[codec];
  if (pack === undefined) return bytes;
  const blocks: Promise<Buffer>[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    blocks.push(pack(bytes.subarray(at, at + BLOCK_BYTES), level));
  }
  return Buffer.concat(await Promise.all(blocks));
}

export async function decode(codec: CodecName, bytes: Buffer): Promise<Buffer> {
  return (await DECODE[codec]?.(bytes)) ?? bytes;
}
