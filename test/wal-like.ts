// Contents that codecs meet: pages of rows as WAL carries them, and the shapes that are hard for some of them.
import { createHash } from 'node:crypto';

const PAGE_BYTES = 8192;

/** Small contents of every shape, the same in every run. */
export function contents(): Record<string, Buffer> {
  return {
    nothing: Buffer.alloc(0),
    'one byte': Buffer.from('x'),
    'page images': walLike(3_000_000),
    'random bytes': randomLike(1_500_000),
    zeros: Buffer.alloc(6_000_000),
    'a short period': Buffer.alloc(1_200_000, 'ab'),
    'a long period': Buffer.alloc(1_200_000, randomLike(70_001)),
  };
}

/** Pages with rows that resemble each other, a hole in the middle, and line pointers. */
export function walLike(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  const next = numbers(seed);
  for (let page = 0; page + PAGE_BYTES <= sizeBytes; page += PAGE_BYTES) {
    bytes.writeUInt32LE(next() >>> 0, page + 4);
    const rows = 20 + (next() % 60);
    for (let row = 0; row < rows; row++) {
      bytes.writeUInt32LE((PAGE_BYTES - (row + 1) * 96) | (192 << 16), page + 24 + row * 4);
      const at = page + PAGE_BYTES - (row + 1) * 96;
      const id = page / 8 + row;
      bytes.writeUInt32LE(id, at + 24);
      bytes.writeUInt32LE(next() % 100_000, at + 28);
      bytes.write(`customer ${id} ${(next() >>> 0).toString(16)} ${'abcdefgh'[id % 8]?.repeat(20)}`, at + 32, 'latin1');
    }
  }
  return bytes;
}

/** Bytes that nothing packs. */
export function randomLike(sizeBytes: number, seed = 'seed'): Buffer {
  return createHash('shake256', { outputLength: sizeBytes }).update(seed).digest();
}

function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) & 0x7fff_ffff;
    return state >>> 3;
  };
}
