import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { constants, crc32, createDeflateRaw, gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { contents, randomLike, walLike } from '../../test/wal-like.ts';
import { GunzipDecoder } from './parallel-gunzip.ts';
import { parallelGzipEncoder } from './parallel-gzip.ts';

test('writes one member that any reader reads, and reads it again', async () => {
  for (const [what, bytes] of Object.entries(contents())) {
    for (const level of [1, 6, 9]) {
      const packed = await pack(bytes, level);
      assert.ok(gunzipSync(packed).equals(bytes), `${what} at ${level}`);
      assert.ok((await unpack(packed)).equals(bytes), `${what} at ${level}`);
    }
  }
});

test('gives the same bytes each time, in whatever pieces they come', async () => {
  const bytes = walLike(3_000_000);
  assert.deepEqual(await pack(bytes, 6, 65_536), await pack(bytes, 6, 777_777));
});

test('loses less than one part in a hundred to the cuts', async () => {
  const bytes = walLike(4_000_000);
  const [cut, whole] = [(await pack(bytes, 6)).length, gzipSync(bytes, { level: 6 }).length];
  assert.ok(cut < whole * 1.01, `${cut} and ${whole}`);
});

test('reads members of other writers, in any pieces, with every kind of header', async () => {
  const bytes = walLike(300_000);
  const plain = gzipSync(bytes);
  const header = Buffer.from([0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 4, 0, 1, 2, 3, 4]);
  const named = Buffer.concat([header, Buffer.from('name\0comment\0'), Buffer.from([9, 9]), plain.subarray(10)]);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40_000 }), async (pieceBytes) => {
      const two = Buffer.concat([plain, named, Buffer.alloc(512)]);
      assert.ok((await unpack(two, pieceBytes)).equals(Buffer.concat([bytes, bytes])));
    }),
    { numRuns: 10, examples: [[1]] },
  );
});

test('is not misled by cuts in the content, nor by blocks that need the ones before', async () => {
  // Stored blocks show their content as it is: false cuts everywhere.
  const cut = Buffer.from([0, 0, 0xff, 0xff]);
  const bytes = Buffer.concat(Array.from({ length: 300 }, (_, i) => [randomLike(9_000, String(i)), cut]).flat());
  assert.ok((await unpack(gzipSync(bytes, { level: 0 }))).equals(bytes));
  const linked = await flushed(walLike(2_000_000), constants.Z_SYNC_FLUSH);
  assert.ok((await unpack(linked)).equals(walLike(2_000_000)));
  const alone = await flushed(walLike(2_000_000), constants.Z_FULL_FLUSH);
  assert.ok((await unpack(alone)).equals(walLike(2_000_000)));
});

test('goes on in order behind parts that it has read alone', async () => {
  const first = walLike(2_000_000);
  const rest = walLike(500_000, 2);
  // Parts that stand alone, then one that refers to what was before it.
  const packed = await flushed(Buffer.concat([first, rest]), constants.Z_FULL_FLUSH, 1_500_000);
  assert.ok((await unpack(packed)).equals(Buffer.concat([first, rest])));
});

test('refuses truncated content wherever it ends', async () => {
  const packed = await pack(walLike(2_500_000), 6);
  for (let cut = 0; cut < packed.length; cut += 1 + Math.floor(packed.length / 40)) {
    await assert.rejects(unpack(packed.subarray(0, cut)), { name: 'CorruptError' }, `at ${cut}`);
  }
  for (let missing = 1; missing < 12; missing++) {
    await assert.rejects(unpack(packed.subarray(0, -missing)), { name: 'CorruptError' }, `${missing} bytes short`);
  }
});

test('refuses damaged content and foreign bytes behind it', async () => {
  const packed = await pack(walLike(1_500_000), 6);
  for (let at = 12; at < packed.length; at += 1 + Math.floor(packed.length / 40)) {
    const damaged = Buffer.from(packed);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 4, at);
    await assert.rejects(unpack(damaged), { name: 'CorruptError' }, `at ${at}`);
  }
  await assert.rejects(unpack(Buffer.concat([packed, Buffer.from('x')])), { name: 'CorruptError' });
  await assert.rejects(unpack(Buffer.concat([packed, Buffer.from('\0\0x')])), { name: 'CorruptError' });
  await assert.rejects(unpack(Buffer.from('not gzip at all')), { name: 'CorruptError' });
});

/** One member whose blocks are flushed in the given way after every 150,000 bytes, and in a linking way from `linkFrom` on. */
async function flushed(bytes: Buffer, kind: number, linkFrom = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const deflate = createDeflateRaw();
  const output = buffer(deflate);
  for (let at = 0; at < bytes.length; at += 150_000) {
    deflate.write(bytes.subarray(at, at + 150_000));
    await new Promise<void>((resolve) => deflate.flush(at < linkFrom ? kind : constants.Z_SYNC_FLUSH, resolve));
  }
  deflate.end();
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(bytes), 0);
  trailer.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]), await output, trailer]);
}

function pack(bytes: Buffer, level: number, pieceBytes = 65_536): Promise<Buffer> {
  return pipeline(Readable.from(pieces(bytes, pieceBytes)), parallelGzipEncoder({ level }), buffer);
}

function unpack(bytes: Buffer, pieceBytes = 65_536): Promise<Buffer> {
  return pipeline(Readable.from(pieces(bytes, pieceBytes)), new GunzipDecoder(), buffer);
}

function* pieces(bytes: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}
