// Blocks begin at any bit: joining them behind each other, and finding where they begin.

/** 48 bits in front of each block: the digits of pi. */
export const BLOCK_MAGIC = 0x314159265359n;
/** 48 bits in front of the stream's checksum: the digits of its square root. */
export const END_MAGIC = 0x177245385090n;
export const MAGIC_BITS = 48;

/** Joins pieces of bits, most significant first. */
export class BitJoiner {
  /** Bits not yet given out: fewer than 8, at the upper end of the byte. */
  #pending = 0;
  #pendingBits = 0;

  /** Appends the first `bits` bits of `bytes`; returns the whole bytes so far. */
  append(bytes: Uint8Array, bits: number): Buffer {
    const shift = this.#pendingBits;
    const whole = (shift + bits) >> 3;
    const joined = Buffer.allocUnsafe(whole);
    let pending = this.#pending;
    for (let i = 0; i < whole; i++) {
      const byte = bytes[i] ?? 0;
      joined[i] = pending | (byte >> shift);
      pending = (byte << (8 - shift)) & 255;
    }
    this.#pendingBits = (shift + bits) & 7;
    // The last byte may hold bits that have not been moved yet.
    if (whole << 3 < shift + bits && whole < (bits + 7) >> 3) pending |= (bytes[whole] ?? 0) >> shift;
    this.#pending = pending & (0xff00 >> this.#pendingBits) & 255;
    return joined;
  }

  /** The last byte, filled up with zeros; empty when nothing is left. */
  end(): Buffer {
    return this.#pendingBits === 0 ? Buffer.alloc(0) : Buffer.from([this.#pending]);
  }
}

/** Two whole bytes inside each magic, at each of its 8 alignments. */
const HINTS = new Uint8Array(65_536);
for (const magic of [BLOCK_MAGIC, END_MAGIC]) {
  for (let shift = 0; shift < 8; shift++) HINTS[Number((magic >> BigInt(16 + shift)) & 0xffffn)] = 1;
}
/** Bytes that a magic can touch. */
const MAGIC_BYTES = 7;

/** Calls `found` for each bit at which either magic begins in the bytes from `from` on; returns where to go on later. */
export function findMagics(bytes: Buffer, from: number, found: (bit: number, isBlock: boolean) => void): number {
  const end = bytes.length - MAGIC_BYTES;
  let at = from;
  for (; at <= end; at++) {
    if (HINTS[((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)] === 0) continue;
    for (let shift = 0; shift < 8; shift++) {
      const magic = readBits(bytes, at * 8 + shift, MAGIC_BITS);
      if (magic === BLOCK_MAGIC || magic === END_MAGIC) found(at * 8 + shift, magic === BLOCK_MAGIC);
    }
  }
  return Math.max(from, at);
}

/** Up to 48 bits at any place; zeros follow the end of the bytes. */
export function readBits(bytes: Buffer, bit: number, count: number): bigint {
  let value = 0n;
  for (let at = bit >> 3; at <= (bit + count - 1) >> 3; at++) value = (value << 8n) | BigInt(bytes[at] ?? 0);
  const behind = 7 - ((bit + count - 1) & 7);
  return (value >> BigInt(behind)) & ((1n << BigInt(count)) - 1n);
}
