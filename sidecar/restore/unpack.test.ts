// Unpacking hostile and damaged tars.
import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { type Header, pack } from 'tar-stream';
import { CorruptError } from '../../api/errors.ts';
import { InFlight } from './in-flight.ts';
import { Unpacker } from './unpack.ts';

type Entry = Partial<Header> & { name: string; body?: string };
const PROGRESS = { add: () => {} };
const SIGNAL = AbortSignal.timeout(60_000);
const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

test('entries arrive with content, mode and time; folders that nobody listed are made', async (t) => {
  const { root } = await makeRoot(t);
  const mtime = new Date(1_700_000_000_000);
  await unpack(root, [
    { name: './', type: 'directory', mode: 0o755 },
    { name: './PG_VERSION', body: '18\n', mode: 0o640, mtime },
    { name: 'base/5/1259', body: 'x'.repeat(100_000) },
    { name: 'open/', type: 'directory', mode: 0o777 },
    { name: 'tight/', type: 'directory', mode: 0o500 },
    { name: 'empty', body: '' },
    { name: 'to', type: 'symlink', linkname: '/outside/of/it' },
    { name: 'same', type: 'link', linkname: './PG_VERSION' },
  ]);
  assert.equal(await readFile(join(root, 'PG_VERSION'), 'utf8'), '18\n');
  assert.equal((await stat(join(root, 'PG_VERSION'))).mode & 0o777, 0o640);
  assert.equal((await stat(join(root, 'PG_VERSION'))).mtimeMs, mtime.getTime());
  assert.equal((await readFile(join(root, 'base/5/1259'))).length, 100_000);
  assert.equal((await stat(join(root, 'empty'))).size, 0);
  assert.equal(await readlink(join(root, 'to')), '/outside/of/it');
  assert.equal((await stat(join(root, 'same'))).ino, (await stat(join(root, 'PG_VERSION'))).ino);
  const modes = await Promise.all(['.', 'base', 'open', 'tight'].map((path) => lstat(join(root, path))));
  assert.deepEqual(
    modes.map(({ mode }) => mode & 0o777),
    [0o750, 0o700, 0o750, 0o700],
  );
});

test('a later entry of the same name wins', async (t) => {
  const { root } = await makeRoot(t);
  await unpack(root, [
    { name: './backup_label', body: 'stale' },
    { name: 'link', type: 'symlink', linkname: 'backup_label' },
    { name: 'link', body: 'a file now' },
    { name: 'backup_label', body: 'right' },
  ]);
  assert.equal(await readFile(join(root, 'backup_label'), 'utf8'), 'right');
  assert.equal(await readFile(join(root, 'link'), 'utf8'), 'a file now');
});

const HOSTILE: [string, Entry[]][] = [
  ['..', [{ name: '../escaped', body: 'x' }]],
  ['.. in the middle', [{ name: 'base/../../escaped', body: 'x' }]],
  ['an absolute name', [{ name: '/tmp/cellar-escaped', body: 'x' }]],
  [
    'a link followed by a file',
    [
      { name: 'out', type: 'symlink', linkname: '..' },
      { name: 'out/escaped', body: 'x' },
    ],
  ],
  [
    'a link followed by a folder',
    [
      { name: 'out', type: 'symlink', linkname: '..' },
      { name: 'out/', type: 'directory' },
    ],
  ],
  ['a hard link outwards', [{ name: 'out', type: 'link', linkname: '../secret' }]],
  [
    'a hard link through a link',
    [
      { name: 'out', type: 'symlink', linkname: '..' },
      { name: 'in', type: 'link', linkname: 'out/secret' },
    ],
  ],
  [
    'a hard link to a link',
    [
      { name: 'out', type: 'symlink', linkname: '../secret' },
      { name: 'in', type: 'link', linkname: 'out' },
    ],
  ],
  [
    'a folder replaced by a link',
    [
      { name: 'base/1', body: 'x' },
      { name: 'base', type: 'symlink', linkname: '..' },
    ],
  ],
  [
    'a folder below a link, in one name',
    [
      { name: 'base/out', type: 'symlink', linkname: '../..' },
      { name: 'base/out/in/escaped', body: 'x' },
    ],
  ],
  [
    'a link where a folder is, though it is empty',
    [
      { name: 'pg_tblspc/', type: 'directory' },
      { name: 'pg_tblspc', type: 'symlink', linkname: '..' },
    ],
  ],
  [
    'a file where another has its folder',
    [
      { name: 'base/1', body: 'x' },
      { name: 'base', body: 'y' },
    ],
  ],
  ['an absolute hard link', [{ name: 'in', type: 'link', linkname: '/etc/passwd' }]],
  ['a hard link to what is not there', [{ name: 'in', type: 'link', linkname: 'nowhere' }]],
  ['the name that is ours', [{ name: 'global/pg_control.cellar-restoring', body: 'x' }]],
  ['a name with a zero byte', [{ name: 'a', pax: { path: 'a\0b' }, body: 'x' }]],
  ['a very long name that climbs', [{ name: `${'deep/'.repeat(60)}${'../'.repeat(70)}escaped`, body: 'x' }]],
  ['a pipe', [{ name: 'fifo', type: 'fifo' }]],
  ['a device', [{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }]],
  ['a file for the root', [{ name: './', type: 'symlink', linkname: '/tmp' }]],
];
for (const [what, entries] of HOSTILE) {
  test(`refuses ${what}`, async (t) => {
    const { root, above } = await makeRoot(t);
    await assert.rejects(unpack(root, entries), CorruptError);
    assert.deepEqual(await readdir(above), ['root']);
  });
}

/** A header by hand: what no library writes. */
function blockOf(name: string, size: string | Buffer, flag = '0'): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write('0000600\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  if (typeof size === 'string') block.write(size, 124);
  else size.copy(block, 124);
  block.write('00000000000\0', 136);
  block.write('        ', 148);
  block.write(flag, 156);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

const END = Buffer.alloc(1024);
const LYING: [string, Buffer[]][] = [
  ['a size beyond the end', [blockOf('a', '00000100000\0'), Buffer.alloc(512), END]],
  ['a size of many exabytes', [blockOf('a', Buffer.from('800000007fffffffffffffff', 'hex')), END]],
  ['a size below zero', [blockOf('a', Buffer.from('ffffffffffffffffffffffff', 'hex')), END]],
  ['a size that is no number', [blockOf('a', '0000000zzzz\0'), END]],
  ['gigabytes of extension', [blockOf('a', '40000000000\0', 'x'), Buffer.alloc(512), END]],
  [
    'a pax record that is too long',
    [blockOf('a', '00000000011\0', 'x'), Buffer.from('99 path=b\n'.padEnd(512, '\0')), END],
  ],
  [
    'a pax size that is no number',
    [
      blockOf('a', '00000000014\0', 'x'),
      Buffer.from('12 size=1e9\n'.padEnd(512, '\0')),
      blockOf('b', '00000000000\0'),
      END,
    ],
  ],
  ['a sparse file', [blockOf('a', '00000000000\0', 'S'), END]],
  ['an entry behind one empty header', [Buffer.alloc(512), blockOf('a', '00000000000\0'), END]],
  ['one empty header only', [blockOf('a', '00000000000\0'), Buffer.alloc(512)]],
];
for (const [what, blocks] of LYING) {
  test(`refuses a tar with ${what}`, async (t) => {
    const { root, above } = await makeRoot(t);
    await assert.rejects(unpackTar(root, Buffer.concat(blocks)), CorruptError);
    assert.deepEqual(await readdir(above), ['root']);
  });
}

test('names and numbers beyond the old format arrive, written as pax or as GNU does', async (t) => {
  const { root } = await makeRoot(t);
  const long = `${'folder/'.repeat(30)}ünïcode`;
  const gnu = 'g'.repeat(150);
  const gnuName = Buffer.from(`${gnu}\0`);
  await unpackTar(
    root,
    Buffer.concat([
      (await tarOf([{ name: long, body: 'long', pax: { mtime: '1795332640.25' } }])).subarray(0, -1024),
      blockOf('././@LongLink', `${gnuName.length.toString(8).padStart(11, '0')}\0`, 'L'),
      Buffer.concat([gnuName, Buffer.alloc(512 - gnuName.length)]),
      blockOf('short', Buffer.from('800000000000000000000003', 'hex')),
      Buffer.from('gnu'.padEnd(512, '\0')),
      END,
    ]),
  );
  assert.equal(await readFile(join(root, long), 'utf8'), 'long');
  assert.equal((await stat(join(root, long))).mtimeMs, 1_795_332_640_250);
  assert.equal(await readFile(join(root, gnu), 'utf8'), 'gnu');
  assert.deepEqual(await readdir(root), ['folder', gnu].sort());
});

test('of two tars at the same time the later one has the files below the root, and a data file is one whole copy', async (t) => {
  for (let round = 0; round < 5; round++) {
    const { root } = await makeRoot(t);
    const part = (text: string) => [
      { name: 'backup_label', body: text },
      { name: 'base/', type: 'directory' as const },
      { name: 'base/5/1', body: text.repeat(200_000) },
      { name: 'global/pg_control', body: text },
    ];
    await unpackParts(
      root,
      [await tarOf(part('a')), await tarOf(part('b')), await tarOf(part('c'))],
      'global/pg_control',
    );
    assert.equal(await readFile(join(root, 'backup_label'), 'utf8'), 'c');
    assert.equal(await readFile(join(root, 'global/pg_control.cellar-restoring'), 'utf8'), 'c');
    assert.match(await readFile(join(root, 'base/5/1'), 'utf8'), /^(a{200000}|b{200000}|c{200000})$/);
  }
});

test('a later tar that was quicker keeps its files below the root against an earlier one', async (t) => {
  const { root } = await makeRoot(t);
  const inFlight = new InFlight(SIGNAL);
  const unpacker = new Unpacker({ root, progress: PROGRESS, inFlight, heldBack: 'global/pg_control' });
  const names = ['backup_label', 'global/pg_control', 'base/5/1'];
  for (const part of [1, 0]) {
    const tar = await tarOf(names.map((name) => ({ name, body: `of tar ${part}` })));
    await pipeline(Readable.from([tar]), unpacker.tar(part));
    await inFlight.finish();
  }
  const found = ['backup_label', 'global/pg_control.cellar-restoring', 'base/5/1'];
  const bodies = await Promise.all(found.map((name) => readFile(join(root, name), 'utf8')));
  assert.deepEqual(bodies, ['of tar 1', 'of tar 1', 'of tar 0']);
});

test('many small files and large ones arrive whole, whatever the chunks', async (t) => {
  const { root } = await makeRoot(t);
  const body = (file: number) => `${file}`.repeat(1 + ((file * 7919) % (file % 50 === 0 ? 600_000 : 900)));
  const files = Array.from({ length: 400 }, (_, file) => ({ name: `base/5/${file}`, body: body(file) }));
  await unpack(root, files);
  for (const { name, body: expected } of files) assert.equal(await readFile(join(root, name), 'utf8'), expected);
});

test('a disk that refuses ends the unpacking with what it said', async (t) => {
  const { root } = await makeRoot(t);
  const tooLong = [
    { name: 'x'.repeat(300), body: 'x' },
    ...Array.from({ length: 200 }, (_, i) => ({ name: `${i}`, body: 'y' })),
  ];
  await assert.rejects(unpack(root, tooLong), { code: 'ENAMETOOLONG' });
});

for (const [what, damage] of [
  ['cut in an entry', (tar: Buffer) => tar.subarray(0, 1024)],
  ['cut between entries', (tar: Buffer) => tar.subarray(0, 2048)],
  ['changed in a header', (tar: Buffer) => Buffer.concat([Buffer.from('X'), tar.subarray(1)])],
  ['empty', () => Buffer.alloc(0)],
] as const) {
  test(`refuses a tar that is ${what}`, async (t) => {
    const { root } = await makeRoot(t);
    const tar = damage(
      await tarOf([
        { name: 'a', body: 'x'.repeat(600) },
        { name: 'b', body: 'y' },
      ]),
    );
    await assert.rejects(unpackTar(root, tar), CorruptError);
  });
}

test('refuses a tar that is cut within zeros, which look like its end', async (t) => {
  const { root } = await makeRoot(t);
  const tar = (await tarOf([{ name: 'a', body: '\0'.repeat(3000) }])).subarray(0, 512 + 2048);
  await assert.rejects(unpackTar(root, tar), CorruptError);
});

test('the file that is held back has another name until the caller is done', async (t) => {
  const { root } = await makeRoot(t);
  await unpack(root, [{ name: 'global/pg_control', body: 'control' }], 'global/pg_control');
  assert.deepEqual(await readdir(join(root, 'global')), ['pg_control.cellar-restoring']);
});

async function unpack(root: string, entries: Entry[], heldBack?: string): Promise<void> {
  await unpackTar(root, await tarOf(entries), heldBack);
}

async function unpackTar(root: string, tar: Buffer, heldBack?: string): Promise<void> {
  await unpackParts(root, [tar], heldBack);
}

/** All at the same time, in chunks that respect nothing. */
async function unpackParts(root: string, tars: Buffer[], heldBack?: string): Promise<void> {
  const inFlight = new InFlight(SIGNAL);
  const unpacker = new Unpacker({
    ...{ root, progress: PROGRESS, inFlight },
    ...(heldBack === undefined ? {} : { heldBack }),
  });
  const unpackings = tars.map((tar, part) => pipeline(Readable.from(chunksOf(tar)), unpacker.tar(part)));
  const outcomes = await Promise.allSettled(unpackings);
  await inFlight.settle();
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  await inFlight.finish();
  await unpacker.finish();
}

function* chunksOf(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += 3001) yield Buffer.from(bytes.subarray(at, at + 3001));
}

async function tarOf(entries: Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { body, ...header } of entries) tar.entry({ uid, gid, ...header }, body ?? '');
  tar.finalize();
  return buffer(Readable.from(tar));
}

async function makeRoot(t: TestContext): Promise<{ root: string; above: string }> {
  const above = await mkdtemp(join(tmpdir(), 'cellar-unpack-'));
  t.after(() => rm(above, { recursive: true, force: true }));
  const root = join(above, 'root');
  await mkdir(root);
  return { root, above };
}
