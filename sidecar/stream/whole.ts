// A codec over bytes that are at hand as a whole, such as a segment.
import { buffer } from 'node:stream/consumers';
import type { Codec, EncoderOptions } from './codec.ts';

/** Packs `bytes` into one member, stream or frame. */
export function compress(
  codec: Codec,
  bytes: Uint8Array,
  options?: Omit<EncoderOptions, 'sizeBytes'>,
): Promise<Buffer> {
  const encoder = codec.encoder({ ...options, sizeBytes: bytes.length });
  encoder.end(bytes);
  return buffer(encoder);
}

/** Unpacks `bytes`; CorruptError when they are anything but whole, clean content. */
export function decompress(codec: Codec, bytes: Uint8Array): Promise<Buffer> {
  const decoder = codec.decoder();
  decoder.end(bytes);
  return buffer(decoder);
}
