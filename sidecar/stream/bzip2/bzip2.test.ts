import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { contents, randomLike, walLike } from '../../../test/wal-like.ts';
import { compileBlocks, MODULE_PATH } from './build.ts';
import { bzip2Decoder, bzip2Encoder } from './bzip2.ts';
import { BlockWorkers } from './workers.ts';

const MAGIC = Buffer.from('314159265359', 'hex');
const workers = new BlockWorkers(2);
after(() => workers.close());

/** `printf 'hello hello hello' | bzip2 -1`. */
const HELLO = '425a68313141592653599e625bfe000002910040000244a000211460668291ef23470bb9229c28484f312dff00';

test('gives back every shape of content, at the ends of the levels', async () => {
  for (const [what, bytes] of Object.entries(contents())) {
    for (const level of [1, 9])
      assert.ok((await unpack(await pack(bytes, level))).equals(bytes), `${what} at ${level}`);
  }
});

test('gives back any content in any pieces', async () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 1100 })).map(([byte, count]) => new Uint8Array(count).fill(byte)),
    fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 90 }))
      .map(([period, count]) => Buffer.concat(Array.from({ length: count }, () => period))),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.integer({ min: 1, max: 700 }), async (parts, pieceBytes) => {
      const bytes = Buffer.concat(parts);
      const packed = await pack(bytes, 1, pieceBytes);
      assert.deepEqual(await unpack(packed, pieceBytes), bytes);
    }),
    { numRuns: 150 },
  );
});

test('cuts runs at the end of a block as the format demands', async () => {
  // Blocks of level 1 end after 99,981 bytes: runs of every length lie across the cut.
  for (let run = 0; run < 12; run++) {
    const bytes = Buffer.concat([randomLike(99_970 + run), Buffer.alloc(30 - run, 7), randomLike(50_000, 'more')]);
    assert.ok((await unpack(await pack(bytes, 1))).equals(bytes), `cut ${run}`);
  }
});

test('stays fast on content that defeats sorting by comparison', async () => {
  const cpuBefore = process.cpuUsage();
  const [one, other] = fibonacciWords(900_000);
  for (const bytes of [Buffer.alloc(900_000, 'ab'), Buffer.from(one), Buffer.from(other)]) {
    assert.ok((await unpack(await pack(bytes, 9))).equals(bytes));
  }
  const { user } = process.cpuUsage(cpuBefore);
  // Comparison would take minutes; a loaded machine may take ten times as long as a quiet one.
  assert.ok(user < 30_000_000, `${user} µs`);
});

test('writes one stream whatever the number of threads', async () => {
  const alone = new BlockWorkers(1);
  const bytes = walLike(2_000_000);
  assert.deepEqual(
    await pipeline(Readable.from([bytes]), bzip2Encoder({ level: 1 }, alone), buffer),
    await pack(bytes, 1),
  );
  await alone.close();
});

test('reads several streams behind each other, of different levels, and ignores what follows them', async () => {
  const bytes = walLike(400_000);
  const packed = Buffer.concat([
    await pack(bytes, 9),
    await pack(Buffer.alloc(0), 3),
    await pack(bytes, 1),
    randomLike(99),
  ]);
  assert.deepEqual(await unpack(packed), Buffer.concat([bytes, bytes]));
  assert.deepEqual(await unpack(packed, 1000), Buffer.concat([bytes, bytes]));
});

test('is not misled by the magic number of a block inside a block', async () => {
  const { packed, bytes } = blockAroundMagic();
  const stream = Buffer.concat([packed, await pack(walLike(200_000), 1)]);
  assert.ok(packed.indexOf(MAGIC) !== packed.lastIndexOf(MAGIC), 'the magic number is there twice');
  assert.deepEqual(await unpack(stream), Buffer.concat([bytes, walLike(200_000)]));
});

test('reads what the own program of the format has written', async () => {
  assert.equal((await unpack(Buffer.from(HELLO, 'hex'))).toString(), 'hello hello hello');
});

test('refuses truncated content wherever it ends', async () => {
  const packed = await pack(walLike(250_000), 1);
  for (let cut = 1; cut < packed.length; cut += 1 + Math.floor(packed.length / 60)) {
    await assert.rejects(unpack(packed.subarray(0, cut)), { name: 'CorruptError' }, `at ${cut}`);
  }
  for (let missing = 1; missing < 16; missing++) {
    await assert.rejects(unpack(packed.subarray(0, -missing)), { name: 'CorruptError' }, `${missing} bytes short`);
  }
});

test('refuses content with any bit changed', async () => {
  const packed = await pack(walLike(30_000), 1);
  // Spread over the block, then the whole end but for the last byte, which holds bits without a meaning.
  const end = (packed.length - 1) * 8;
  const spread = Array.from({ length: Math.floor((end - 32) / 97) }, (_, i) => 32 + i * 97);
  const last = Array.from({ length: 72 }, (_, i) => end - 1 - i);
  for (const bit of [...spread, ...last]) {
    const damaged = Buffer.from(packed);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (128 >> (bit & 7)), bit >> 3);
    await assert.rejects(unpack(damaged), { name: 'CorruptError' }, `bit ${bit}`);
  }
});

test('refuses a block larger than the header allows', async () => {
  const packed = await pack(randomLike(150_000), 9);
  packed.write('1', 3);
  await assert.rejects(unpack(packed), { name: 'CorruptError', message: /larger than the header allows/ });
});

test('the module that is checked in is what its sources say', async () => {
  assert.ok(Buffer.from(await compileBlocks()).equals(await readFile(MODULE_PATH)), 'run `npm run wasm`');
});

test('threads that are closed fail their work and start again for the next', async () => {
  const own = new BlockWorkers(1);
  const work = pipeline(Readable.from([walLike(3_000_000)]), bzip2Encoder({}, own), buffer);
  work.catch(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  await own.close();
  await assert.rejects(work, /closed|ended/);
  assert.ok((await pipeline(Readable.from([Buffer.from('x')]), bzip2Encoder({}, own), buffer)).length > 0);
  await own.close();
});

function pack(bytes: Buffer, level: number, pieceBytes = 200_000): Promise<Buffer> {
  return pipeline(Readable.from(pieces(bytes, pieceBytes)), bzip2Encoder({ level }, workers), buffer);
}

function unpack(bytes: Buffer, pieceBytes = 60_000): Promise<Buffer> {
  return pipeline(Readable.from(pieces(bytes, pieceBytes)), bzip2Decoder(workers), buffer);
}

function* pieces(bytes: Buffer, pieceBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** Words in which long parts repeat at every scale. */
function fibonacciWords(sizeBytes: number): [string, string] {
  let [a, b] = ['x', 'xy'];
  while (b.length < sizeBytes) [a, b] = [b, b + a];
  return [b.slice(0, sizeBytes), b.slice(b.length - sizeBytes)];
}

/** One stream whose only block holds the magic number among its symbols, at a whole byte; and its content. */
function blockAroundMagic(): { packed: Buffer; bytes: Buffer } {
  // Codes of 8 bits for the symbols 0 to 253, of 9 for the last four: most bytes are the code of their own value.
  const symbols = [...randomLike(400)].filter((byte) => byte > 1 && byte < 254);
  symbols.splice(200, 0, ...MAGIC);
  const recent = Array.from({ length: 256 }, (_, value) => value);
  const column = symbols.map((symbol) => {
    const [byte = 0] = recent.splice(symbol - 1, 1);
    recent.unshift(byte);
    return byte;
  });
  const bytes = invert(column);
  const groups = Math.ceil((symbols.length + 1) / 50);
  const checksum = number(checksumOf(bytes), 32);
  const lengths = `01000${'0'.repeat(254)}100${'0'.repeat(3)}`;
  const head = `${bitsOf(Buffer.from('BZh1'))}${bitsOf(MAGIC)}${checksum}0${number(0, 24)}${'1'.repeat(16 * 17)}`;
  // More selectors than groups are allowed; they move the symbols to a whole byte.
  const unshifted = head.length + 18 + groups + 2 * lengths.length;
  const selectors = groups + ((8 - (unshifted % 8)) % 8);
  const body = `${number(2, 3)}${number(selectors, 15)}${'0'.repeat(selectors)}${lengths.repeat(2)}`;
  const data = `${symbols.map((symbol) => number(symbol, 8)).join('')}${number(511, 9)}`;
  const end = `${bitsOf(Buffer.from('177245385090', 'hex'))}${checksum}`;
  const all = `${head}${body}${data}${end}`;
  const padded = all.padEnd(Math.ceil(all.length / 8) * 8, '0');
  return { packed: Buffer.from(padded.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []), bytes };
}

function number(value: number, bits: number): string {
  return value.toString(2).padStart(bits, '0');
}

function bitsOf(bytes: Buffer): string {
  return [...bytes].map((byte) => number(byte, 8)).join('');
}

/** From the last column of the sorted rotations to the first of them. */
function invert(column: number[]): Buffer {
  const order = column.map((byte, rank) => ({ byte, rank })).sort((a, b) => a.byte - b.byte || a.rank - b.rank);
  const bytes: number[] = [];
  for (let at = order[0], i = 0; i < column.length && at !== undefined; i++) {
    bytes.push(at.byte);
    at = order[at.rank];
  }
  return Buffer.from(bytes);
}

function checksumOf(bytes: Buffer): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c1_1db7 : 0);
  }
  return ~crc >>> 0;
}
