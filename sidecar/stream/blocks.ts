// Memory that travels through a stream and comes back: who fills it lends it, who has used its bytes returns it. What is
// not returned is left to the garbage collector, so a stage that knows nothing of this does no harm; but the collector
// lets about 64 MiB of buffers pile up before it looks.
import { BufferPool } from './buffers.ts';

/** Codecs that pack block by block take these as they are. Larger ones pack little better: deflate looks back 32 KiB. */
export const BLOCK_BYTES = 1024 * 1024;

/** Shared by all streams of the process: as many as eight of them use on two cores. */
const pool = new BufferPool(24);
const lent = new WeakSet<ArrayBufferLike>();
const expendable = new WeakSet<ArrayBufferLike>();

/** A block whose content is left over from its last use. It goes back to be used again. */
export function lendBlock(): Buffer {
  const block = pool.take(BLOCK_BYTES);
  lent.add(block.buffer);
  return block;
}

/**
 * Says that nobody else uses the memory of these bytes: it is freed when they are returned. Not of those that share it with
 * others, as small buffers of Node do.
 */
export function lendOnce(bytes: Buffer): Buffer {
  if (bytes.length === bytes.buffer.byteLength) expendable.add(bytes.buffer);
  return bytes;
}

/** Whether these bytes are (part of) a block that somebody must return. */
export function isLent(bytes: Buffer): boolean {
  return lent.has(bytes.buffer);
}

/** The caller is the last user of these bytes. Does nothing when they were not lent, or were returned before. */
export function returnBlock(bytes: Buffer): void {
  const memory = bytes.buffer;
  if (lent.delete(memory)) pool.give(Buffer.from(memory));
  else if (expendable.delete(memory)) freeNow(bytes);
}

/** Frees the memory that bytes lie in; every view of it is empty afterwards. */
export function freeNow(bytes: Buffer): void {
  if (bytes.buffer instanceof ArrayBuffer) bytes.buffer.transfer(0);
}
