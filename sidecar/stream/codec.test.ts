import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';
import { CODEC_SUFFIXES, type Codec, codecByName, codecBySuffix } from './codec.ts';

const PACKING = ['gzip', 'zstd', 'bzip2', 'lz4', 'snappy'] as const;
/** Barman's reader of these ignores what follows a stream. */
const IGNORES_TRAILING = ['bzip2'];
const CONTENT = Buffer.concat([Buffer.alloc(700_000, 'wal'), randomBytes(200_000)]);

for (const name of ['none', ...PACKING] as const) {
  test(`${name} gives back what it was given, at every level and when empty`, async () => {
    const codec = codecByName(name);
    for (const level of [undefined, -100, 1, 100]) {
      const options = level === undefined ? {} : { level };
      const packed = await run(codec.encoder({ ...options, sizeBytes: 30_000 }), CONTENT.subarray(-30_000));
      assert.deepEqual(await run(codec.decoder(), packed), CONTENT.subarray(-30_000));
    }
    assert.deepEqual(await run(codec.decoder(), await run(codec.encoder(), CONTENT)), CONTENT);
    assert.equal((await run(codec.decoder(), await run(codec.encoder(), Buffer.alloc(0)))).length, 0);
  });
}

for (const name of PACKING) {
  test(`${name} refuses content that is truncated, damaged, followed by garbage, or empty`, async () => {
    const codec = codecByName(name);
    const packed = await run(codec.encoder({ sizeBytes: CONTENT.length }), CONTENT);
    const damaged = Buffer.from(packed);
    damaged.writeUInt8((damaged.readUInt8(packed.length >> 1) + 1) % 256, packed.length >> 1);
    const broken = {
      truncated: packed.subarray(0, -1),
      halved: packed.subarray(0, packed.length >> 1),
      damaged,
      ...(IGNORES_TRAILING.includes(name) ? {} : { garbage: Buffer.concat([packed, Buffer.from('garbage')]) }),
      empty: Buffer.alloc(0),
    };
    for (const [what, bytes] of Object.entries(broken)) {
      await assert.rejects(run(codec.decoder(), bytes), { name: 'CorruptError' }, what);
    }
  });
}

test('writes gzip and zstd that other readers read', async () => {
  assert.deepEqual(gunzipSync(await run(codecByName('gzip').encoder(), CONTENT)), CONTENT);
  assert.deepEqual(zstdDecompressSync(await run(codecByName('zstd').encoder(), CONTENT)), CONTENT);
});

test('writes a zstd frame with its checksum and content size', async () => {
  const packed = await run(codecByName('zstd').encoder({ sizeBytes: CONTENT.length }), CONTENT);
  const descriptor = packed.readUInt8(4);
  assert.ok((descriptor & 0b100) !== 0, 'no checksum');
  assert.ok(descriptor >> 6 !== 0 || (descriptor & 0b100000) !== 0, 'no content size');
});

test('reads gzip of several members', async () => {
  const two = Buffer.concat([gzipSync('one '), gzipSync('two')]);
  assert.equal((await run(codecByName('gzip').decoder(), two)).toString(), 'one two');
});

test('passes on the trouble of other stages as it is', async () => {
  const source = Readable.from(
    (async function* () {
      yield gzipSync('x').subarray(0, 5);
      throw new RangeError('source failed');
    })(),
  );
  await assert.rejects(pipeline(source, codecByName('gzip').decoder(), buffer), RangeError);
});

test('finds codecs by suffix', () => {
  assert.equal(codecBySuffix('.gz')?.name, 'gzip');
  assert.equal(codecBySuffix('')?.name, 'none');
  assert.equal(codecBySuffix('.zip'), undefined);
  assert.deepEqual([...CODEC_SUFFIXES].sort(), ['.bz2', '.gz', '.lz4', '.snappy', '.xz', '.zst']);
});

function run(stage: ReturnType<Codec['encoder']>, bytes: Buffer): Promise<Buffer> {
  return pipeline(Readable.from([bytes], { objectMode: false }), stage, buffer);
}
