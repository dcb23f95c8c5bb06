import assert from 'node:assert/strict';
import { PassThrough, Readable, type Transform } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { walLike } from '../../test/wal-like.ts';
import { BLOCK_BYTES, isLent, lendBlock, lendOnce, returnBlock } from './blocks.ts';
import { codecByName } from './codec.ts';

test('a block that was returned is lent again, and returned only once', () => {
  const block = lendBlock();
  assert.equal(block.length, BLOCK_BYTES);
  assert.ok(isLent(block.subarray(5, 10)));
  returnBlock(block.subarray(0, 3));
  assert.ok(!isLent(block));
  returnBlock(block);
  const [one, two] = [lendBlock(), lendBlock()];
  assert.equal(one.buffer, block.buffer);
  assert.notEqual(two.buffer, block.buffer);
});

test('the memory of what was lent once is freed when it is returned; other bytes are left alone', () => {
  const once = lendOnce(Buffer.allocUnsafeSlow(1000));
  const own = Buffer.allocUnsafeSlow(1000);
  for (const bytes of [once, own]) returnBlock(bytes.subarray(1, 2));
  assert.deepEqual([once.length, own.length], [0, 1000]);
  const shared = Buffer.from('small');
  returnBlock(lendOnce(shared));
  assert.equal(shared.toString(), 'small');
});

for (const name of ['none', 'gzip', 'bzip2', 'lz4', 'snappy'] as const) {
  test(`${name} packs lent blocks of any size, and each comes back`, async () => {
    const { encoder, decoder } = codecByName(name);
    const sizes = [BLOCK_BYTES, 3, BLOCK_BYTES - 4096, 1, BLOCK_BYTES, BLOCK_BYTES];
    const content = walLike(sizes.reduce((sum, size) => sum + size, 0));
    const lent: Buffer[] = [];
    const source = Readable.from(blocksOf(content, sizes, lent), { objectMode: false });
    const packed = await pipeline(source, encoder(), returning(), buffer);
    assert.ok((await pipeline(Readable.from([packed]), decoder(), buffer)).equals(content));
    assert.deepEqual(
      lent.map((block) => isLent(block)),
      sizes.map(() => false),
    );
  });
}

function* blocksOf(content: Buffer, sizes: readonly number[], lent: Buffer[]): Generator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    const block = lendBlock().subarray(0, size);
    at += content.copy(block, 0, at, at + size);
    lent.push(block);
    yield block;
  }
}

/** As the uploader of parts does: copies, then returns. */
function returning(): Transform {
  return new PassThrough({
    transform(chunk: Buffer, _encoding, callback) {
      const copy = Buffer.from(chunk);
      returnBlock(chunk);
      callback(null, copy);
    },
  });
}
