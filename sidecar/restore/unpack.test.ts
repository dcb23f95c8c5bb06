// Unpacking hostile and damaged tars.
import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { CorruptError } from '../../api/errors.ts';
import { codecByName } from '../stream/codec.ts';
import { Unpacker } from './unpack.ts';

type Entry = Partial<Header> & { name: string; body?: string };
const PROGRESS = { sizeBytes: 0, files: 0, add: () => {}, stop: () => {} };
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
    const unpacking = new Unpacker({ root, progress: PROGRESS }).unpack(
      Readable.from([tar]),
      codecByName('none'),
      SIGNAL,
    );
    await assert.rejects(unpacking, CorruptError);
  });
}

test('refuses a tar that is cut within zeros, which look like its end', async (t) => {
  const { root } = await makeRoot(t);
  const tar = (await tarOf([{ name: 'a', body: '\0'.repeat(3000) }])).subarray(0, 512 + 2048);
  const unpacking = new Unpacker({ root, progress: PROGRESS }).unpack(
    Readable.from([tar]),
    codecByName('none'),
    SIGNAL,
  );
  await assert.rejects(unpacking, CorruptError);
});

test('refuses a packed tar that is cut', async (t) => {
  const { root } = await makeRoot(t);
  const packed = gzipSync(await tarOf([{ name: 'a', body: 'x' }]));
  const cut = Readable.from([packed.subarray(0, packed.length - 5)]);
  const unpacking = new Unpacker({ root, progress: PROGRESS }).unpack(cut, codecByName('gzip'), SIGNAL);
  await assert.rejects(unpacking, CorruptError);
});

test('the file that is held back has another name until the caller is done', async (t) => {
  const { root } = await makeRoot(t);
  await unpack(root, [{ name: 'global/pg_control', body: 'control' }], 'global/pg_control');
  assert.deepEqual(await readdir(join(root, 'global')), ['pg_control.cellar-restoring']);
});

async function unpack(root: string, entries: Entry[], heldBack?: string): Promise<void> {
  const unpacker = new Unpacker({ root, progress: PROGRESS, ...(heldBack === undefined ? {} : { heldBack }) });
  await unpacker.unpack(Readable.from([await tarOf(entries)]), codecByName('none'), SIGNAL);
  await unpacker.finish();
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
