// Trees become tars: read back with GNU tar's rules by tar-stream, and with the tar of this machine where it exists.
import assert from 'node:assert/strict';
import { appendFile, link, mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { crc32, gunzipSync } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { FakeStorage } from '../../test/fake-storage.ts';
import { randomLike, walLike } from '../../test/wal-like.ts';
import { lendBlock, returnBlock } from '../stream/blocks.ts';
import { codecByName } from '../stream/codec.ts';
import { dataRules } from './exclusions.ts';
import { createTarWriter, type TarWriter } from './tar.ts';
import { openTarObject, type TarTarget } from './tar-object.ts';
import { openTarSeries } from './tar-series.ts';
import { walkTree } from './tree.ts';

const OWNER = { mode: 0o600, uid: 26, gid: 26, mtimeMs: 1_795_332_640_569.804 };
const SIGNAL = AbortSignal.timeout(60_000);

test('entries keep name, mode, owner and time; the whole is padded to 10 240 bytes', async () => {
  const long = `base/${'ö'.repeat(120)}/1`;
  const { members, sizeBytes } = await written(async (tar) => {
    await tar.addFolder('base', { ...OWNER, mode: 0o700, uid: 1_000_700_000 });
    await tar.addBytes(long, Buffer.from('content'), OWNER);
    await tar.addSymlink('link', '/elsewhere', OWNER);
  });
  assert.equal(sizeBytes % 10_240, 0);
  assert.deepEqual(
    members.map(({ header, text }) => [header.name, header.type, header.mode, header.linkname, text]),
    [
      ['base/', 'directory', 0o700, null, ''],
      [long, 'file', 0o600, null, 'content'],
      ['link', 'symlink', 0o600, '/elsewhere', ''],
    ],
  );
  assert.deepEqual(members[0]?.header.pax, { mtime: '1795332640.569804', uid: '1000700000' });
});

for (const size of [0, 10, 300_000]) {
  test(`a file of ${size} bytes that changes while it is read has the size of its header`, async (t) => {
    const folder = await makeFolder(t);
    const path = join(folder, 'file');
    await writeFile(path, Buffer.alloc(size, 1));
    const { members } = await written(async (tar) => {
      await tar.addFile('same', path);
      await appendFile(path, 'more');
      await tar.addFile('grown', path);
      assert.equal(await tar.addFile('vanished', join(folder, 'gone')), undefined);
    });
    assert.deepEqual(
      members.map(({ header }) => [header.name, header.size]),
      [
        ['same', size],
        ['grown', size + 4],
      ],
    );
  });
}

test('a file that shrinks while it is read is filled up with zeros', async (t) => {
  const dirty = Array.from({ length: 8 }, () => lendBlock().fill(7));
  for (const block of dirty) returnBlock(block);
  const folder = await makeFolder(t);
  const path = join(folder, 'file');
  const sizeBytes = 3 * 1024 * 1024;
  await writeFile(path, Buffer.alloc(sizeBytes, 1));
  const tar = createTarWriter();
  const adding = tar.addFile('shrunk', path);
  const finishing = adding.then(() => tar.finish());
  const chunks: Buffer[] = [];
  for await (const chunk of tar.bytes) {
    // The writer waits for its reader, so what is beyond the first pieces has not been read yet.
    if (chunks.length === 0) await truncate(path, 8192);
    chunks.push(chunk);
  }
  await finishing;
  assert.equal(await adding, sizeBytes);
  const [member] = await readTar(Buffer.concat(chunks));
  assert.equal(member?.header.size, sizeBytes);
  assert.equal(member?.text.at(0), '\x01');
  assert.equal(member?.text.at(-1), '\0');
});

for (const size of [8192 * 3, 8192 * 128 * 2 + 100, 5_000_000]) {
  test(`all that is read of ${size} bytes is shown in order, in pieces that begin with a page`, async (t) => {
    const folder = await makeFolder(t);
    const path = join(folder, 'file');
    const content = randomLike(size);
    await writeFile(path, content);
    const shown: Buffer[] = [];
    const inspect = async (piece: Buffer, fileOffset: number) => {
      assert.equal(fileOffset % 8192, 0);
      assert.equal(fileOffset, Buffer.concat(shown).length);
      await new Promise((resolve) => setImmediate(resolve));
      shown.push(Buffer.from(piece));
    };
    const { members } = await written(async (tar) => {
      await tar.addBytes('before', Buffer.alloc(1000), OWNER);
      await tar.addFile('file', path, { inspect });
    });
    assert.ok(Buffer.concat(shown).equals(content));
    assert.ok(Buffer.from(members[1]?.text ?? '', 'latin1').equals(content));
  });
}

test('what inspects may stop the backup', async (t) => {
  const path = join(await makeFolder(t), 'file');
  await writeFile(path, Buffer.alloc(100));
  const inspect = () => Promise.reject(new Error('enough'));
  await assert.rejects(
    written((tar) => tar.addFile('file', path, { inspect })),
    /enough/,
  );
});

test('the second link to a file becomes a link', async (t) => {
  const folder = await makeFolder(t);
  await writeFile(join(folder, 'a'), 'one');
  await link(join(folder, 'a'), join(folder, 'b'));
  const { members } = await written(async (tar) => {
    await tar.addFile('a', join(folder, 'a'));
    await tar.addFile('b', join(folder, 'b'));
  });
  assert.deepEqual(
    members.map(({ header }) => [header.name, header.type, header.linkname]),
    [
      ['a', 'file', null],
      ['b', 'link', 'a'],
    ],
  );
});

test('a tree is walked parents first, without sockets, links to folders, and excluded content', async (t) => {
  const folder = await makeFolder(t);
  for (const path of ['base/5', 'pg_wal/archive_status', 'target'])
    await mkdir(join(folder, path), { recursive: true });
  for (const path of ['PG_VERSION', 'base/5/1259', 'base/5/t1_2', 'pg_wal/000000010000000000000001', 'target/x']) {
    await writeFile(join(folder, path), path);
  }
  await symlink(join(folder, 'target'), join(folder, 'to-folder'));
  await symlink('PG_VERSION', join(folder, 'to-file'));
  await symlink('nowhere', join(folder, 'dangling'));
  const socket = createServer().listen(join(folder, 'socket'));
  t.after(() => socket.close());
  const found: string[] = [];
  for await (const entry of walkTree(folder, dataRules(['target']), SIGNAL)) found.push(`${entry.kind} ${entry.path}`);
  assert.equal(found[0], 'folder ');
  assert.deepEqual(found.slice(1).sort(), [
    'file PG_VERSION',
    'file base/5/1259',
    'folder base',
    'folder base/5',
    'folder pg_wal',
    'symlink dangling',
    'symlink to-file',
  ]);
  assert.ok(found.indexOf('folder base') < found.indexOf('folder base/5'));
});

test('a series goes on in another tar beyond its limit, and each is whole', async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, 'file');
  await writeFile(path, Buffer.alloc(700_000, 7));
  const storage = new FakeStorage();
  const series = openTarSeries(target(storage), (part) => `part${part}`, 1_000_000);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await series.add((tar) => tar.addFile(name, path));
  const stored = await series.finish();
  assert.ok(stored.length >= 2 && stored.length <= 3, `${stored.length} tars`);
  const names: string[] = [];
  for (const { key, sizeBytes } of stored) {
    const bytes = storage.objects.get(key)?.bytes ?? Buffer.alloc(0);
    assert.equal(bytes.length, sizeBytes);
    names.push(...(await readTar(bytes)).map(({ header }) => header.name));
  }
  assert.deepEqual(names, ['a', 'b', 'c', 'd', 'e']);
});

test('a tar is stored packed at the level asked for, and known by the checksum of what was stored', async (t) => {
  const path = join(await makeFolder(t), 'file');
  await writeFile(path, walLike(1_000_000));
  const sizes = new Map<number | undefined, number>();
  for (const level of [undefined, 1, 9]) {
    const storage = new FakeStorage();
    const codec = codecByName('gzip');
    const object = openTarObject({ ...target(storage), codec, ...(level === undefined ? {} : { level }) }, 'tar');
    await object.add((tar) => tar.addFile('file', path));
    const stored = await object.finish();
    const bytes = storage.objects.get('tar')?.bytes ?? Buffer.alloc(0);
    assert.equal(stored.crc32, crc32(bytes).toString(16).padStart(8, '0'));
    assert.equal((await readTar(gunzipSync(bytes)))[0]?.header.size, 1_000_000);
    sizes.set(level, stored.sizeBytes);
  }
  assert.ok((sizes.get(9) ?? 0) < (sizes.get(1) ?? 0));
  assert.equal(sizes.get(undefined), sizes.get(1), 'the default of base backups');
});

test('giving up a tar that waits for its limit does not wait', async () => {
  const storage = new FakeStorage();
  const object = openTarObject({ ...target(storage), maxBytesPerSecond: 100_000 }, 'tar');
  // The second block of the tar waits for the first.
  for (const name of ['a', 'b', 'c', 'd']) {
    await object.add((tar) => tar.addBytes(name, Buffer.alloc(600_000), OWNER));
  }
  await new Promise((resolve) => setImmediate(resolve));
  const timers = timersWaiting();
  await object.abandon(new Error('enough'));
  assert.equal(storage.objects.size, 0);
  assert.equal(timersWaiting(), timers - 1);
});

test('what breaks the upload is what the writer of entries gets, and nothing is stored', async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, 'file');
  await writeFile(path, Buffer.alloc(2_000_000, 7));
  const storage = new FakeStorage({ minPartBytes: 1 });
  storage.before = (verb, key) => {
    if (verb === 'multipart' && key.endsWith('#2')) throw new Error('the store is full');
  };
  const object = openTarObject({ ...target(storage), partBytes: 500_000 }, 'tar');
  const adding = async () => {
    for (let index = 0; index < 20; index++) await object.add((tar) => tar.addFile(`f${index}`, path));
    await object.finish();
  };
  await assert.rejects(adding(), /the store is full/);
  await object.abandon(new Error('later'));
  assert.equal(storage.objects.size, 0);
});

test('giving up ends entries, streams and upload', async () => {
  const storage = new FakeStorage();
  const object = openTarObject(target(storage), 'tar');
  await object.add((tar) => tar.addBytes('a', Buffer.alloc(10), OWNER));
  await object.abandon(new Error('enough'));
  await assert.rejects(
    object.add((tar) => tar.addBytes('b', Buffer.alloc(10), OWNER)),
    /enough/,
  );
  assert.equal(storage.objects.size, 0);
});

test('a store that reports another size than was sent is not believed', async () => {
  const storage = new FakeStorage();
  const put = storage.put.bind(storage);
  storage.put = async (key, body, options) => ({ ...(await put(key, body, options)), sizeBytes: 1 });
  const object = openTarObject(target(storage), 'tar');
  await assert.rejects(object.finish(), /sent 10240 bytes, the store holds 1/);
});

test('times of a file are kept to the microsecond', async (t) => {
  const folder = await makeFolder(t);
  const path = join(folder, 'file');
  await writeFile(path, 'x');
  await utimes(path, 1000.25, 1000.25);
  const { members } = await written((tar) => tar.addFile('file', path));
  assert.deepEqual(members[0]?.header.pax, { mtime: '1000.250000' });
});

function timersWaiting(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

function target(storage: FakeStorage): TarTarget {
  return { storage, codec: codecByName('none'), partBytes: 8_388_608, jobs: 2, put: {}, signal: SIGNAL };
}

type ReadMember = { header: Header; text: string };

async function written(
  fill: (tar: TarWriter) => Promise<unknown>,
): Promise<{ members: ReadMember[]; sizeBytes: number }> {
  const tar = createTarWriter();
  const filling = fill(tar).then(
    () => tar.finish(),
    (error) => tar.abort(error),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of tar.bytes) chunks.push(chunk);
  await filling;
  const bytes = Buffer.concat(chunks);
  return { members: await readTar(bytes), sizeBytes: bytes.length };
}

/** Strictly, by a reader that is not ours; a tar that ends early fails. */
async function readTar(bytes: Buffer): Promise<ReadMember[]> {
  const members: ReadMember[] = [];
  const reader = extract();
  reader.on('entry', (header, content, next) => {
    buffer(content).then((read) => {
      members.push({ header, text: read.toString('latin1') });
      next();
    }, next);
  });
  await pipeline(Readable.from([bytes]), reader);
  assert.ok(bytes.subarray(-1024).equals(Buffer.alloc(1024)), 'the end of the tar is there');
  return members;
}

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-tar-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
