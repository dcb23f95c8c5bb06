// What a restore refuses before it touches anything, and what it leaves when it fails.
import assert from 'node:assert/strict';
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { CancelledError, ConflictError, CorruptError, PreconditionError } from '../../api/errors.ts';
import type { Cluster, RecoveryTarget } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { type BackupInfo, emptyBackupInfo, formatBackupInfo } from '../backup/info.ts';
import { createRestorer } from './run.ts';

const FILES = { PG_VERSION: '18\n', 'global/pg_control': 'control', backup_label: 'the label' };
const WAL = 'backups/origin/wals/0000000100000000/000000010000000000000002.gz';

test('fills PGDATA with what PostgreSQL needs, tablespaces at their place, and no stale map', async (t) => {
  const house = await makeHouse(t);
  const location = join(house.folder, 'tablespaces', 'tb');
  await house.plantBackup('A', FILES, { tablespaces: [{ name: 'tb', oid: 16384, location }] });
  await house.plantTar('A', 'data_0001.tar.gz', { 'base/5/1': 'x', tablespace_map: '16384 /elsewhere' });
  await house.plantTar('A', '16384.tar.gz', { 'PG_18_202506291/5/16400': 'far' });
  await house.restore();
  for (const path of [
    'pg_control',
    '../pg_wal',
    '../pg_logical/mappings',
    '../base/5/1',
    '../pg_tblspc/16384/PG_18_202506291',
  ]) {
    await access(join(house.pgdata, 'global', path));
  }
  await assert.rejects(access(join(house.pgdata, 'tablespace_map')));
});

test('a label that the tar lacks comes from backup.info', async (t) => {
  const house = await makeHouse(t);
  const { backup_label: _, ...files } = FILES;
  await house.plantBackup('A', files, { backupLabel: 'from the record' });
  await house.restore();
  await access(join(house.pgdata, 'backup_label'));
});

test('the own archive must be empty when the request or the missing annotation asks', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup('A', FILES);
  house.own.plant('backups/restored/wals/00000002.history', 'x');
  await assert.rejects(house.restore({ checkEmptyArchive: true }), ConflictError);
  await assert.rejects(house.restore({ checkEmptyArchive: undefined }), ConflictError);
  await assertUntouched(house);
  await house.restore({ checkEmptyArchive: undefined, annotations: { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' } });
});

type Kind = typeof PreconditionError | typeof CorruptError;
const REFUSALS: [string, (house: House) => unknown, Kind, RegExp][] = [
  ['an empty catalog', (house) => house.source.objects.clear(), PreconditionError, /catalog is empty/],
  ['missing WAL', (house) => house.source.objects.delete(WAL), PreconditionError, /lacks 1 of the 1 WAL.*02/],
  ['a missing tar', (house) => house.source.objects.delete(key('A', 'data.tar.gz')), CorruptError, /no data\.tar/],
  ['a missing part', (house) => house.plantTar('A', 'data_0002.tar.gz', {}), CorruptError, /part 1 of data/],
  ['an unknown packing', (house) => house.plantTar('A', 'data_0001.tar.arj', {}), PreconditionError, /\.arj/],
  ['a tablespace without tar', (house) => house.plantBackup('A', FILES, TABLESPACE), CorruptError, /no 77\.tar/],
];
for (const [what, spoil, kind, message] of REFUSALS) {
  test(`refuses ${what} before PGDATA is touched`, async (t) => {
    const house = await makeHouse(t);
    await house.plantBackup('A', FILES);
    await spoil(house);
    await assert.rejects(house.restore(), (error) => error instanceof kind && message.test(error.message));
    await assertUntouched(house);
  });
}

test('refuses a folder that is not empty, and leaves it alone', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup('A', FILES);
  await mkdir(house.pgdata);
  await writeFile(join(house.pgdata, 'precious'), 'x');
  await assert.rejects(house.restore(), (error) => error instanceof ConflictError && /precious/.test(error.message));
  assert.deepEqual(await readdir(house.pgdata), ['precious']);
});

test('a Cluster without recovery source is refused', async (t) => {
  const house = await makeHouse(t);
  await assert.rejects(house.restore({ source: 'nobody' }), PreconditionError);
});

const DAMAGES: [string, (house: House) => unknown][] = [
  ['a tar that is cut', (house) => cut(house, key('A', 'data.tar.gz'))],
  [
    'a later tar that is cut',
    async (house) => {
      await house.plantTar('A', 'data_0001.tar.gz', { a: 'x' });
      cut(house, key('A', 'data_0001.tar.gz'));
    },
  ],
  ['a backup without control file', (house) => house.plantBackup('A', { PG_VERSION: '18', backup_label: 'x' })],
  ['a backup without any label', (house) => house.plantBackup('A', { PG_VERSION: '18', 'global/pg_control': 'c' })],
  ['a hostile tar', (house) => house.plantTar('A', 'data_0001.tar.gz', { '../../escaped': 'x' })],
];
for (const [what, spoil] of DAMAGES) {
  test(`${what} leaves the folder empty`, async (t) => {
    const house = await makeHouse(t);
    await house.plantBackup('A', FILES);
    await spoil(house);
    await assert.rejects(house.restore(), CorruptError);
    await assertUntouched(house);
    await mkdir(house.pgdata);
    await assert.rejects(house.restore(), CorruptError);
    assert.deepEqual(await readdir(house.pgdata), [], 'a folder that was there stays, empty');
  });
}

test('a cancelled restore leaves the folder empty', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup('A', FILES);
  await house.plantTar('A', 'data_0001.tar.gz', { a: 'x' });
  const stop = new AbortController();
  house.source.before = (verb, requested) => {
    if (verb === 'get' && requested.endsWith('data_0001.tar.gz')) stop.abort();
  };
  await assert.rejects(house.restore({ signal: stop.signal }), CancelledError);
  await assertUntouched(house);
});

const TABLESPACE = { tablespaces: [{ name: 'tb', oid: 77, location: '/nonexistent/tb' }] };

type Options = {
  checkEmptyArchive?: boolean | undefined;
  annotations?: Record<string, string>;
  source?: string;
  target?: RecoveryTarget;
  signal?: AbortSignal;
};
type House = {
  folder: string;
  pgdata: string;
  source: FakeStorage;
  own: FakeStorage;
  plantBackup(id: string, files: Record<string, string>, more?: Partial<BackupInfo>): Promise<void>;
  plantTar(id: string, name: string, files: Record<string, string>): Promise<void>;
  restore(options?: Options): Promise<unknown>;
};

async function makeHouse(t: TestContext): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-restore-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const pgdata = join(folder, 'pgdata');
  const source = new FakeStorage();
  const own = new FakeStorage();
  const plantTar: House['plantTar'] = async (id, name, files) => {
    source.plant(key(id, name), gzipSync(await tarOf(files)));
  };
  source.plant(WAL, 'wal');
  const restorer = createRestorer({ archives: fakeArchives({ source, own }), pgdata, log: silentLog() });
  return {
    folder,
    pgdata,
    source,
    own,
    plantTar,
    plantBackup: (id, files, more = {}) => {
      source.plant(key(id, 'backup.info'), formatBackupInfo({ ...INFO, ...more }));
      return plantTar(id, 'data.tar.gz', files);
    },
    restore: async (options = {}) => {
      const { checkEmptyArchive, signal = AbortSignal.timeout(60_000) } = { checkEmptyArchive: false, ...options };
      return restorer.restore({ cluster: clusterOf(options), checkEmptyArchive, signal });
    },
  };
}

const INFO: BackupInfo = {
  ...emptyBackupInfo(),
  status: 'DONE',
  timeline: 1,
  beginTime: 1_000_000n,
  endTime: 2_000_000n,
  beginXlog: '0/2000028',
  endXlog: '0/2000100',
  beginWal: '000000010000000000000002',
  endWal: '000000010000000000000002',
  version: 180004,
};

function cut(house: House, spoiled: string): void {
  const bytes = house.source.objects.get(spoiled)?.bytes ?? Buffer.alloc(0);
  house.source.plant(spoiled, bytes.subarray(0, bytes.length - 10));
}

function key(id: string, name: string): string {
  return `backups/origin/base/${id}/${name}`;
}

function clusterOf(options: Options): Cluster {
  const { annotations, source = 'origin', target } = options;
  const plugin = { name: PLUGIN_NAME, parameters: { barmanObjectName: 'source' } };
  return {
    metadata: { name: 'restored', ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'own' } }],
      bootstrap: { recovery: { source, ...(target === undefined ? {} : { recoveryTarget: target }) } },
      externalClusters: [
        { name: 'origin', plugin: { ...plugin, parameters: { ...plugin.parameters, serverName: 'origin' } } },
      ],
    },
  };
}

async function tarOf(files: Record<string, string>): Promise<Buffer> {
  const tar = pack();
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  for (const [name, body] of Object.entries(files)) tar.entry({ name, uid, gid, mode: 0o600 }, body);
  tar.finalize();
  return buffer(Readable.from(tar));
}

async function assertUntouched(house: House): Promise<void> {
  assert.deepEqual(await readdir(house.folder), []);
}
