// Headers as other readers understand them: tar-stream, and the tar of this machine where there is one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { extract, type Header } from 'tar-stream';
import { findOnPath } from '../../test/interop/path.ts';
import { encodeTarHeader, type TarEntry } from './tar-header.ts';

const FILE: TarEntry = {
  ...{ name: 'base/5/1259', type: 'file', mode: 0o100600, uid: 26, gid: 26 },
  ...{ mtimeMs: 1_795_332_640_569.804, sizeBytes: 0 },
};
const LONG = `${'folder/'.repeat(30)}file`;

const CASES: [what: string, entry: Partial<TarEntry>][] = [
  ['a file right below the root', { name: './PG_VERSION' }],
  ['a folder', { name: 'base/', type: 'folder', mode: 0o40700 }],
  ['a symbolic link', { type: 'symlink', target: '../elsewhere' }],
  ['a hard link', { type: 'link', target: 'base/5/1258' }],
  ['a name of 100 bytes', { name: 'n'.repeat(100) }],
  ['a name of 101 bytes', { name: 'n'.repeat(101) }],
  ['a name longer than one block of records', { name: LONG.repeat(4) }],
  ['a name that is not ASCII', { name: 'base/größe/データ' }],
  ['a name with a line break', { name: 'two\nlines=1' }],
  ['a link to a name that is long and not ASCII', { type: 'symlink', target: `/ö/${LONG}` }],
  ['owners of a user namespace', { uid: 1_000_700_000, gid: 0o7777777 + 1 }],
  ['the largest owner of the plain header', { uid: 0o7777777 }],
  ['a time before 1970', { mtimeMs: -1500 }],
];

for (const [what, changes] of CASES) {
  test(`${what} is read as it was written`, async () => {
    const entry = { ...FILE, ...changes };
    const read = await readOne(encodeTarHeader(entry));
    const pax = (read.pax ?? {}) as Record<string, string>;
    assert.equal(read.name, entry.name);
    assert.equal(read.type, { folder: 'directory', file: 'file', symlink: 'symlink', link: 'link' }[entry.type]);
    assert.equal(read.mode, entry.mode & 0o7777);
    assert.equal(Number(pax.uid ?? read.uid), entry.uid);
    assert.equal(Number(pax.gid ?? read.gid), entry.gid);
    assert.equal(read.linkname ?? undefined, entry.target);
    assert.equal(pax.mtime, (entry.mtimeMs / 1000).toFixed(6));
  });
}

test('sizes beyond eleven octal digits are in the extended header', () => {
  const plain = encodeTarHeader({ ...FILE, sizeBytes: 8 * 1024 ** 3 - 1 });
  assert.equal(plain.toString('latin1', 1024 + 124, 1024 + 135), '77777777777');
  assert.ok(!plain.includes('size='));
  assert.ok(encodeTarHeader({ ...FILE, sizeBytes: 8 * 1024 ** 3 }).includes('19 size=8589934592\n'));
});

test('the length of a record counts its own digits', () => {
  for (const length of [80, 89, 90, 91, 980, 990, 991, 992]) {
    const name = `ö${'n'.repeat(length)}`;
    const records = encodeTarHeader({ ...FILE, name })
      .subarray(512)
      .toString();
    const [, counted] = /\n(\d+) path=/.exec(records) ?? [];
    assert.equal(Number(counted), Buffer.byteLength(`${counted} path=${name}\n`));
  }
});

const tar = findOnPath('tar');
test('the tar of this machine lists them', { skip: tar === undefined && 'no tar on the PATH' }, () => {
  const headers = CASES.filter(([what]) => !what.includes('line break')).map(([, entry]) =>
    encodeTarHeader({ ...FILE, ...entry }),
  );
  const args = ['--list', '--verbose', '--numeric-owner', '--quoting-style=literal', '--show-stored-names', '-f', '-'];
  const input = Buffer.concat([...headers, Buffer.alloc(1024)]);
  const { stdout, stderr, status } = spawnSync(tar ?? '', args, { input, env: { LC_ALL: 'C.UTF-8', TZ: 'UTC' } });
  assert.equal(status, 0, stderr.toString());
  const listed = stdout.toString();
  assert.match(listed, /drwx------ 26\/26 +0 2026-11-22 \d\d:\d\d base\/\n/);
  assert.match(listed, /1000700000\/2097152 /);
  for (const text of ['base/größe/データ', 'n'.repeat(101), '-> ../elsewhere', 'link to base/5/1258', LONG.repeat(4)]) {
    assert.ok(listed.includes(text), text);
  }
});

async function readOne(header: Buffer): Promise<Header> {
  const reader = extract();
  const found = new Promise<Header>((resolve, reject) => {
    reader.on('error', reject);
    reader.on('entry', (entry, stream, next) => {
      resolve(entry);
      buffer(stream).then(() => next(), next);
    });
  });
  reader.end(Buffer.concat([header, Buffer.alloc(1024)]));
  return found;
}
