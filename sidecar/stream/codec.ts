// What a codec is, and where codecs are found by name and by suffix (object-store-layout.md §2.3).
import { PassThrough, type Transform } from 'node:stream';
import type { WalCompression } from '../../api/objectstore.ts';
import { bzip2Decoder, bzip2Encoder } from './bzip2/bzip2.ts';
import { lz4Encoder } from './lz4.ts';
import { Lz4Decoder } from './lz4-decoder.ts';
import { GunzipDecoder } from './parallel-gunzip.ts';
import { parallelGzipEncoder } from './parallel-gzip.ts';
import { SnappyDecoder, snappyEncoder } from './snappy-framing.ts';
import { xzDecoder, xzEncoder } from './xz.ts';
import { zstdDecoder, zstdEncoder } from './zstd.ts';

export type EncoderOptions = {
  /** As the format counts them; clamped to its range. */
  level?: number;
  /** Number of bytes that will be written, when it is known: formats that can store it do. */
  sizeBytes?: number;
};

/** Packs into one member, stream or frame; unpacks strictly: content that is not whole and clean is a CorruptError. */
export type Codec = {
  name: WalCompression | 'none';
  /** `.gz`; empty for `none`. */
  suffix: string;
  encoder(options?: EncoderOptions): Transform;
  decoder(): Transform;
};

const CODECS: Record<WalCompression | 'none', Codec> = {
  none: { name: 'none', suffix: '', encoder: () => new PassThrough(), decoder: () => new PassThrough() },
  gzip: { name: 'gzip', suffix: '.gz', encoder: parallelGzipEncoder, decoder: () => new GunzipDecoder() },
  zstd: { name: 'zstd', suffix: '.zst', encoder: zstdEncoder, decoder: zstdDecoder },
  bzip2: { name: 'bzip2', suffix: '.bz2', encoder: bzip2Encoder, decoder: () => bzip2Decoder() },
  lz4: { name: 'lz4', suffix: '.lz4', encoder: lz4Encoder, decoder: () => new Lz4Decoder() },
  snappy: { name: 'snappy', suffix: '.snappy', encoder: snappyEncoder, decoder: () => new SnappyDecoder() },
  xz: { name: 'xz', suffix: '.xz', encoder: xzEncoder, decoder: xzDecoder },
};

/** Every suffix that marks packed content, the empty one of `none` not among them. */
export const CODEC_SUFFIXES: readonly string[] = Object.values(CODECS)
  .map((codec) => codec.suffix)
  .filter((suffix) => suffix !== '');

/** The codec of a `compression` field. */
export function codecByName(name: WalCompression | 'none'): Codec {
  return CODECS[name];
}

/** The codec of a suffix (`.gz`, or empty for `none`); undefined for any other text. */
export function codecBySuffix(suffix: string): Codec | undefined {
  return Object.values(CODECS).find((codec) => codec.suffix === suffix);
}
