// lz4, snappy and xz: what is theirs alone. What all codecs share is in codec.test.ts.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { contents, randomLike, walLike } from '../../test/wal-like.ts';
import { type Codec, codecByName } from './codec.ts';
import { compress, decompress } from './whole.ts';
import { XxHash32 } from './xxhash32.ts';

const lz4 = codecByName('lz4');
const snappy = codecByName('snappy');
const xz = codecByName('xz');
/** Two linked blocks of 64 KiB and a checksum: `lz4 -BD -B4` of 70,000 times x. */
const LINKED = [
  '04224d1844405e0b0100001f780100ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe75078787878781c0000001f780100ffff',
  'ffffffffffffffffffffffffffffff68507878787878000000005fd1d219',
].join('');

for (const codec of [lz4, snappy]) {
  test(`${codec.name} gives back every shape of content in any pieces`, async () => {
    for (const [what, bytes] of Object.entries(contents())) {
      assert.ok((await decompress(codec, await compress(codec, bytes))).equals(bytes), what);
    }
    const bytes = walLike(90_000);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70_000 }), async (pieceBytes) => {
        const packed = await inPieces(codec, 'encoder', bytes, pieceBytes);
        assert.ok((await inPieces(codec, 'decoder', packed, pieceBytes)).equals(bytes));
      }),
      { numRuns: 12, examples: [[3]] },
    );
  });

  test(`${codec.name} refuses truncated content, and gives no other content where it is damaged`, async () => {
    const bytes = walLike(200_000);
    const packed = await compress(codec, bytes);
    for (let at = 0; at < packed.length; at += 1 + Math.floor(packed.length / 80)) {
      await assert.rejects(decompress(codec, packed.subarray(0, at)), { name: 'CorruptError' }, `cut at ${at}`);
      const damaged = Buffer.from(packed);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
      // A reference may be changed into one to the same bytes; other content never comes out.
      const outcome = await decompress(codec, damaged).catch((error: Error) => error);
      if (outcome instanceof Error) assert.equal(outcome.name, 'CorruptError', `damaged at ${at}`);
      else assert.ok(outcome.equals(bytes), `damaged at ${at}`);
    }
  });

  test(`${codec.name} reads streams behind each other`, async () => {
    const packed = await compress(codec, walLike(100_000));
    const bytes = Buffer.concat([walLike(100_000), walLike(100_000)]);
    assert.ok((await decompress(codec, Buffer.concat([packed, packed]))).equals(bytes));
  });
}

test('lz4 writes one frame that the library reads, and reads frames of the library', async () => {
  const bytes = walLike(2_500_000);
  const packed = await compress(lz4, bytes);
  assert.equal(packed.readUInt32LE(0), 0x184d2204);
  assert.equal(packed.readBigUInt64LE(6), BigInt(bytes.length));
  assert.ok((await decompressFrame(packed)).equals(bytes));
  for (const options of [{}, { contentChecksum: true }, { contentChecksum: true, blockChecksums: true }]) {
    assert.ok((await decompress(lz4, await compressFrame(bytes, options))).equals(bytes));
  }
});

test('lz4 reads linked blocks', async () => {
  assert.ok((await decompress(lz4, Buffer.from(LINKED, 'hex'))).equals(Buffer.alloc(70_000, 'x')));
});

test('lz4 refuses a content size that was wrong', async () => {
  const encoder = lz4.encoder({ sizeBytes: 5 });
  await assert.rejects(pipeline(Readable.from([Buffer.from('four')]), encoder, buffer), { name: 'InvalidInputError' });
});

test('lz4 passes over skippable frames', async () => {
  const packed = await compress(lz4, Buffer.from('content'));
  const skippable = Buffer.from('502a4d1803000000616263', 'hex');
  assert.equal((await decompress(lz4, Buffer.concat([skippable, packed, skippable]))).toString(), 'content');
});

test('xxh32 gives the published values, in any pieces', () => {
  assert.equal(new XxHash32().digest(), 0x02cc5d05);
  assert.equal(new XxHash32().update(Buffer.from('a')).digest(), 0x550d7456);
  assert.equal(new XxHash32().update(Buffer.from('abc')).digest(), 0x32d153ff);
  const bytes = randomLike(1000);
  const whole = new XxHash32().update(bytes).digest();
  for (let at = 0; at < 60; at++) {
    const hash = new XxHash32().update(bytes.subarray(0, at)).update(bytes.subarray(at, 61)).update(bytes.subarray(61));
    assert.equal(hash.digest(), whole);
  }
});

test('snappy writes the framing format, and what cannot be packed as it is', async () => {
  const packed = await compress(snappy, Buffer.concat([Buffer.alloc(65_536), randomLike(65_536)]));
  assert.equal(packed.subarray(0, 10).toString('latin1'), '\xff\x06\x00\x00sNaPpY');
  const first = packed.readUIntLE(11, 3);
  assert.equal(packed[10], 0);
  assert.equal(packed[14 + first], 1);
  assert.equal(packed.length, 10 + 4 + first + 4 + 4 + 65_536);
});

test('snappy refuses content without its framing', async () => {
  await assert.rejects(decompress(snappy, Buffer.from('\0\0\0\0plain')), { name: 'CorruptError' });
});

test('xz writes one stream with CRC-64 and reads streams, ignoring what follows', { skip: !hasXz() }, async () => {
  const bytes = walLike(500_000);
  const packed = await compress(xz, bytes);
  assert.equal(packed.subarray(0, 8).toString('hex'), 'fd377a585a000004');
  assert.ok(packed.length < bytes.length / 2);
  assert.ok((await decompress(xz, packed)).equals(bytes));
  const followed = Buffer.concat([packed, packed, Buffer.from('garbage')]);
  assert.ok((await decompress(xz, followed)).equals(Buffer.concat([bytes, bytes])));
  const damaged = Buffer.from(packed);
  damaged.writeUInt8(damaged.readUInt8(packed.length >> 1) ^ 1, packed.length >> 1);
  for (const broken of [damaged, packed.subarray(0, -1), packed.subarray(0, 9), Buffer.alloc(0), Buffer.from('none')]) {
    await assert.rejects(decompress(xz, broken), { name: 'CorruptError' });
  }
});

function hasXz(): boolean {
  try {
    import.meta.resolve('lzma-native');
    return true;
  } catch {
    return false;
  }
}

function inPieces(codec: Codec, way: 'encoder' | 'decoder', bytes: Buffer, pieceBytes: number): Promise<Buffer> {
  const source = function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  };
  return pipeline(Readable.from(source()), codec[way](), buffer);
}
