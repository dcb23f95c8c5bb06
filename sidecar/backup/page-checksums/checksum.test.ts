import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomLike } from '../../../test/wal-like.ts';
import { compilePages, MODULE_PATH } from './build.ts';
import { createPageVerifier, PAGE_BYTES } from './checksum.ts';

const verifier = createPageVerifier();
const LATEST = 2n ** 64n - 1n;

test('agrees with the rules applied word by word, whatever the pages, their number and their blocks', () => {
  const page = fc.uint8Array({ minLength: PAGE_BYTES, maxLength: PAGE_BYTES });
  const block = fc.integer({ min: 0, max: 2 ** 32 - 4 });
  fc.assert(
    fc.property(fc.array(page, { minLength: 1, maxLength: 3 }), block, (pages, firstBlock) => {
      const piece = Buffer.concat(pages);
      for (let index = 0; index < pages.length; index++) piece.writeUInt16LE(1, index * PAGE_BYTES + 14);
      const expected = pages.map((_, index) => checksumOf(pageAt(piece, index), firstBlock + index));
      const found = verifier.findBad(piece, firstBlock, LATEST);
      // A random checksum is right by chance, once in 65,536 times.
      const wrong = expected.flatMap((sum, index) => {
        const has = pageAt(piece, index).readUInt16LE(8);
        return has === sum ? [] : [{ index, expected: sum, found: has }];
      });
      assert.deepEqual(found, wrong);
      for (const [index, sum] of expected.entries()) piece.writeUInt16LE(sum, index * PAGE_BYTES + 8);
      assert.deepEqual(verifier.findBad(piece, firstBlock, LATEST), []);
    }),
    { numRuns: 60 },
  );
});

test('finds the one bit that is wrong, wherever it is', () => {
  const whole = validPage(7);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: PAGE_BYTES * 8 - 1 }), (bit) => {
      const page = Buffer.from(whole);
      page.writeUInt8(page.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      assert.deepEqual(
        verifier.findBad(page, 7, LATEST).map(({ index }) => index),
        [0],
      );
    }),
    { numRuns: 300 },
  );
});

test('a page at another block of its relation is bad', () => {
  assert.deepEqual(verifier.findBad(validPage(7), 7, LATEST), []);
  assert.equal(verifier.findBad(validPage(7), 8, LATEST).length, 1);
});

test('numbers the pages of a piece that is larger than its room, leaves out what follows the last whole one, and keeps the bytes', () => {
  const pages = Array.from({ length: 300 }, (_, index) => validPage(index));
  for (const index of [0, 127, 128, 299]) pages[index]?.writeUInt8(255 - (pages[index].at(4000) ?? 0), 4000);
  const piece = Buffer.concat([...pages, Buffer.alloc(PAGE_BYTES - 1, 1)]);
  const before = Buffer.from(piece);
  assert.deepEqual(
    verifier.findBad(piece, 0, LATEST).map(({ index }) => index),
    [0, 127, 128, 299],
  );
  assert.ok(piece.equals(before));
});

test('a page of zeros is good; one without an end of free space that holds anything else is bad', () => {
  assert.deepEqual(verifier.findBad(Buffer.alloc(2 * PAGE_BYTES), 5, LATEST), []);
  for (const at of [8, 16, 4096, PAGE_BYTES - 1]) {
    const page = Buffer.alloc(PAGE_BYTES);
    page.writeUInt8(1, at);
    assert.equal(verifier.findBad(page, 5, LATEST).length, 1, `byte ${at}`);
  }
  const matching = Buffer.alloc(PAGE_BYTES);
  matching.writeUInt16LE(checksumOf(matching, 5), 8);
  assert.equal(verifier.findBad(matching, 5, LATEST).length, 1, 'PostgreSQL gives such a page no checksum');
});

test('a page is judged when its LSN is less than the start, in both halves', () => {
  const lsns = fc.bigInt({ min: 0n, max: LATEST });
  const near = fc.constantFrom(0x1_0000_0000n, 0x7_ffff_ffffn, 0x8000_0000n, 0xffff_ffff_0000_0000n);
  const nearby = fc.tuple(near, fc.bigInt({ min: -1n, max: 1n })).map(([lsn, distance]) => lsn + distance);
  fc.assert(
    fc.property(fc.oneof(lsns, nearby), fc.oneof(lsns, nearby), (lsn, start) => {
      const page = validPage(3);
      page.writeUInt32LE(Number(lsn >> 32n), 0);
      page.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4);
      page.writeUInt16LE(checksumOf(page, 3) ^ 1, 8);
      assert.equal(verifier.findBad(page, 3, start).length, lsn < start ? 1 : 0);
    }),
  );
});

test('the module that is checked in is made from these sources: npm run wasm', async () => {
  assert.ok(Buffer.from(await compilePages()).equals(await readFile(MODULE_PATH)));
});

function pageAt(piece: Buffer, index: number): Buffer {
  return piece.subarray(index * PAGE_BYTES, (index + 1) * PAGE_BYTES);
}

function validPage(block: number): Buffer {
  const page = randomLike(PAGE_BYTES, `block ${block}`);
  page.fill(0, 0, 8);
  page.writeUInt16LE(1, 14);
  page.writeUInt16LE(checksumOf(page, block), 8);
  return page;
}

const OFFSETS =
  '5b1f36e9 b8525960 02ab50aa 1de66d2a 79ff467a 9bb9f8a3 217e7cd2 83e13d2c f8d4474f e39eb970 42c6ae16 993216fa 7b093b5d 98daff3c f718902a 0b1c9cdb e58f764b 187636bc 5d7b3bb1 e73de7de 92bec979 cca6c0b2 304a0979 85aa43d4 783125bb 6ca8eaa2 e407eac6 4b5cfc3e 9fbf8c76 15ca20be f2ca9fd3 959bd756'
    .split(' ')
    .map((hex) => Number.parseInt(hex, 16));

/** One column after the other, in exact numbers. */
function checksumOf(page: Buffer, block: number): number {
  const blank = Buffer.from(page);
  blank.writeUInt16LE(0, 8);
  let joined = BigInt(block);
  for (const [column, offset] of OFFSETS.entries()) {
    let sum = BigInt(offset);
    for (let row = 0; row < 66; row++) {
      const mixed = sum ^ (row < 64 ? BigInt(blank.readUInt32LE(row * 128 + column * 4)) : 0n);
      sum = ((mixed * 16_777_619n) & 0xffff_ffffn) ^ (mixed >> 17n);
    }
    joined ^= sum;
  }
  return Number(joined % 65_535n) + 1;
}
