import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { randomLike, walLike } from '../../test/wal-like.ts';
import { deflateBlock } from './deflate-streams.ts';

const LAST_BLOCK = Buffer.from([0x03, 0x00]);

test('a block packed by a stream that has packed others is what a new stream makes of it', async () => {
  for (const level of [1, 6, 9]) {
    for (const block of [
      walLike(300_000),
      randomLike(200_000),
      Buffer.alloc(100_000),
      walLike(50_000, 7),
      Buffer.from('x'),
    ]) {
      const packed = await deflateBlock(block, level);
      assert.ok(packed.equals(deflateRawSync(block, { level, finishFlush: constants.Z_FULL_FLUSH })));
      assert.ok(inflateRawSync(Buffer.concat([packed, LAST_BLOCK])).equals(block));
    }
  }
});

test('many blocks at a time do not mix', async () => {
  const blocks = Array.from({ length: 40 }, (_, index) => walLike(40_000 + index, index + 1));
  const packed = await Promise.all(blocks.map((block) => deflateBlock(block, 6)));
  for (const [index, block] of blocks.entries()) {
    const bytes = Buffer.concat([packed[index] ?? Buffer.alloc(0), LAST_BLOCK]);
    assert.ok(inflateRawSync(bytes).equals(block), `block ${index}`);
  }
});
