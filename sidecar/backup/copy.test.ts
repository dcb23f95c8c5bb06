// Copies of folders that a real server makes rarely: many files, huge ones, and such as are gone.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { extract } from 'tar-stream';
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import type { MultipartUpload } from '../store/store.ts';
import { codecByName } from '../stream/codec.ts';
import { prepareCopy } from './copy.ts';
import { startProgress } from './progress.ts';
import { backupSettings } from './settings.ts';
import type { ServerFacts } from './source.ts';

const ID = '20261125T110000';
const MIB = 1024 * 1024;
const MANY = process.env.CELLAR_ALL === '1' ? 500_000 : 20_000;

test(`${MANY} small files are copied as they are found, each once`, async (t) => {
  const pgdata = await makePgdata(t);
  const folders = Math.ceil(MANY / 1000);
  for (let folder = 0; folder < folders; folder++) {
    await mkdir(join(pgdata, 'base', String(folder)), { recursive: true });
    const files = Array.from({ length: 1000 }, (_, file) => writeFile(join(pgdata, 'base', `${folder}/${file}`), 'x'));
    await Promise.all(files);
  }
  const storage = new FakeStorage();
  const { copy, progress } = prepare(storage, pgdata, { compression: 'lz4' });
  await copy.copyTrees();
  const { tars } = await copy.finish('label');
  assert.equal(tars.length, 1);
  const bytes = storage.objects.get(tars[0]?.key ?? '')?.bytes ?? Buffer.alloc(0);
  const names = await namesIn(Readable.from([bytes]).pipe(codecByName('lz4').decoder()));
  const found = new Set(names.filter((name) => /^base\/\d+\/\d+$/.test(name)));
  assert.equal(found.size, folders * 1000);
  // Root, base, its folders, global, pg_control, postgresql.conf, pg_hba.conf, the label.
  assert.equal(names.length, folders * 1000 + 2 + folders + 1 + 1 + 2 + 1);
  assert.equal(progress.files, folders * 1000 + 3);
});

test('the largest segment file fits into a low part limit, in equal parts, a hole as zeros', async (t) => {
  const pgdata = await makePgdata(t);
  await mkdir(join(pgdata, 'base/5'), { recursive: true });
  await writeFile(join(pgdata, 'base/5/16384'), '');
  await truncate(join(pgdata, 'base/5/16384'), 1024 * MIB);
  const storage = new PartSizes({ maxParts: 100, minPartBytes: 1 });
  const { copy } = prepare(storage, pgdata, { additionalCommandArgs: ['--max-archive-size=1MB'] });
  await copy.copyTrees();
  const { tars } = await copy.finish('label');
  const [{ sizeBytes = 0 } = {}] = tars;
  assert.ok(sizeBytes > 1024 * MIB, `${sizeBytes} bytes`);
  const [first = 0, ...rest] = storage.parts.get(tars[0]?.key ?? '') ?? [];
  assert.ok(rest.length < 100, `${rest.length + 1} parts`);
  assert.ok(first > 8 * MIB && rest.slice(0, -1).every((size) => size === first), 'equal parts');
});

test('a tablespace that is dropped meanwhile is an empty tar; ones inside PGDATA are stored once', async (t) => {
  const pgdata = await makePgdata(t);
  await mkdir(join(pgdata, 'inside/PG_18_202506291/5'), { recursive: true });
  await writeFile(join(pgdata, 'inside/PG_18_202506291/5/16390'), 'rows');
  await mkdir(join(pgdata, 'pg_tblspc/16386/PG_18_202506291/5'), { recursive: true });
  await writeFile(join(pgdata, 'pg_tblspc/16386/PG_18_202506291/5/16391'), 'in place');
  await symlink(join(pgdata, 'inside'), join(pgdata, 'pg_tblspc/16384'));
  const storage = new FakeStorage();
  const tablespaces = [
    { name: 'inside', oid: 16384, location: join(pgdata, 'inside') },
    { name: 'dropped', oid: 16385, location: '/nowhere' },
  ];
  const { copy } = prepare(storage, pgdata, {}, { tablespaces });
  await copy.copyTrees();
  const { tars } = await copy.finish('label');
  assert.deepEqual(
    tars.map(({ key }) => key.slice(key.lastIndexOf('/') + 1)),
    ['16384.tar', '16385.tar', 'data.tar'],
  );
  const [inside, dropped, data] = await Promise.all(
    tars.map(({ key }) => namesIn(Readable.from([storage.objects.get(key)?.bytes ?? Buffer.alloc(0)]))),
  );
  assert.deepEqual(inside, ['PG_18_202506291/', 'PG_18_202506291/5/', 'PG_18_202506291/5/16390']);
  assert.deepEqual(dropped, []);
  assert.ok(data?.includes('pg_tblspc/16386/PG_18_202506291/5/16391'), 'in place');
  assert.deepEqual(
    data?.filter((name) => /inside|16384|16390/.test(name)),
    [],
  );
});

test('a configuration file that is gone ends the copy; pg_ident.conf may be gone', async (t) => {
  const pgdata = await makePgdata(t);
  const lost = join(pgdata, '..', 'lost.conf');
  const { copy } = prepare(new FakeStorage(), pgdata, {}, { identFile: lost });
  await copy.copyTrees();
  await copy.finish('label');
  const other = prepare(new FakeStorage(), pgdata, {}, { hbaFile: lost }).copy;
  await assert.rejects(other.copyTrees(), /lost\.conf is needed for the backup, but is not there/);
  await other.abandon(new Error('enough'));
});

/** Files outside: postgresql.conf and pg_hba.conf. */
async function makePgdata(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-copy-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const pgdata = join(folder, 'pgdata');
  await mkdir(join(pgdata, 'global'), { recursive: true });
  await writeFile(join(pgdata, 'global/pg_control'), 'control');
  for (const name of ['postgresql.conf', 'pg_hba.conf']) await writeFile(join(folder, name), name);
  return pgdata;
}

function prepare(
  storage: FakeStorage,
  pgdata: string,
  data: NonNullable<ObjectStoreConfiguration['data']>,
  changes: Partial<ServerFacts> = {},
) {
  const archive = fakeArchive(storage, { data });
  const { partBytes, jobs, put, splitBytes, compression } = backupSettings(archive.objectStore, storage.capabilities);
  const signal = AbortSignal.timeout(120_000);
  const target = { storage, codec: codecByName(compression), partBytes, jobs, put, signal };
  const facts: ServerFacts = {
    ...{ version: 180_000, inRecovery: false, pgdata, systemId: '1', segmentSizeBytes: 16 * MIB },
    ...{ blockSizeBytes: 8192, segmentBlocks: 131_072, dataChecksums: 'off', summarizeWal: 'off' },
    configFile: join(pgdata, '..', 'postgresql.conf'),
    hbaFile: join(pgdata, '..', 'pg_hba.conf'),
    identFile: join(pgdata, 'pg_ident.conf'),
    ...{ includedFiles: undefined, tablespaces: [], clusterSizeBytes: undefined },
    ...changes,
  };
  const progress = startProgress(silentLog(), 'copy', undefined);
  progress.stop();
  const plan = { id: ID, archive, target, splitBytes, pgdata, facts, pageChecks: undefined, progress };
  return { copy: prepareCopy(plan), progress };
}

async function namesIn(tar: Readable): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of tar.pipe(extract())) {
    names.push(entry.header.name);
    entry.resume();
  }
  return names;
}

/** Keeps the sizes of parts and forgets their bytes. */
class PartSizes extends FakeStorage {
  readonly parts = new Map<string, number[]>();

  override async createMultipart(key: string): Promise<MultipartUpload> {
    const sizes: number[] = [];
    this.parts.set(key, sizes);
    return {
      part: async (number, bytes) => {
        sizes[number - 1] = bytes.length;
      },
      complete: async () => {
        const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
        return { key, sizeBytes, etag: '', lastModified: new Date() };
      },
      abort: async () => undefined,
    };
  }
}
