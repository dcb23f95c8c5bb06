// What a restore refuses before it touches anything, and what it leaves when it fails.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  PreconditionError,
  StoreError,
} from '../../api/errors.ts';
import type { Cluster, RecoveryTarget } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { type BackupInfo, emptyBackupInfo, formatBackupInfo } from '../backup/info.ts';
import { type BackupManifest, formatManifest } from '../backup/manifest.ts';
import { serverKeys } from '../store/keys.ts';
import { createRestorer } from './run.ts';

const ID = '20261122T073041';
const LABEL =
  'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n' +
  `BACKUP METHOD: streamed\nLABEL: Barman backup cloud ${ID}\nSTART TIMELINE: 1\n`;
const FILES = { PG_VERSION: '18\n', 'global/pg_control': 'control', backup_label: LABEL };
const WAL = 'backups/origin/wals/0000000100000000/000000010000000000000002.gz';

test('fills PGDATA with what PostgreSQL needs, tablespaces at their place, and no stale map', async (t) => {
  const house = await makeHouse(t);
  const location = join(house.folder, 'tablespaces', 'tb');
  await house.plantBackup(ID, FILES, { tablespaces: [{ name: 'tb', oid: 16384, location }] });
  await house.plantTar(ID, 'data_0001.tar.gz', { 'base/5/1': 'x', tablespace_map: '16384 /elsewhere' });
  await house.plantTar(ID, '16384.tar.gz', { 'PG_18_202506291/5/16400': 'far' });
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

test('a tablespace goes where the Cluster has its volume, where an option says, or into PGDATA itself', async (t) => {
  const house = await makeHouse(t);
  const locations = { own: '/var/lib/elsewhere/own', moved: '/var/lib/elsewhere/moved', inside: 'pg_tblspc/3' };
  const tablespaces = Object.entries(locations).map(([name, location], index) => ({ name, oid: index + 1, location }));
  await house.plantBackup(ID, FILES, { tablespaces });
  for (const { oid, name } of tablespaces) await house.plantTar(ID, `${oid}.tar.gz`, { 'PG_18_202506291/1': name });
  const moved = join(house.folder, 'moved');
  house.options.push(`--tablespace=moved:${moved}`);
  await house.restore({ tablespaces: [{ name: 'own' }], walStorage: { size: '1Gi' } });
  const linkOf = (oid: number) => readlink(join(house.pgdata, 'pg_tblspc', String(oid)));
  assert.deepEqual([await linkOf(1), await linkOf(2)], [join(house.folder, 'tablespaces/own/data'), moved]);
  for (const { oid, name } of tablespaces) {
    assert.equal(await readFile(join(house.pgdata, `pg_tblspc/${oid}/PG_18_202506291/1`), 'utf8'), name);
  }
  assert.equal(await readlink(join(house.pgdata, 'pg_wal')), join(house.folder, 'wal/pg_wal'));
});

test('links in the place of folders that we work in are not followed', async (t) => {
  const house = await makeHouse(t);
  const precious = join(house.folder, 'precious');
  await mkdir(join(precious, '7'), { recursive: true });
  const location = join(house.folder, 'tb');
  const links = { pg_tblspc: precious, pg_wal: precious, pg_logical: precious };
  const entries = Object.entries(links).map(([name, linkname]) => [name, { type: 'symlink' as const, linkname }]);
  await house.plantBackup(
    ID,
    { ...FILES, ...Object.fromEntries(entries) },
    { tablespaces: [{ name: 'tb', oid: 7, location }] },
  );
  await house.plantTar(ID, '7.tar.gz', {});
  await house.restore({ walStorage: { size: '1Gi' } });
  assert.deepEqual(await readdir(precious), ['7']);
  await access(join(house.pgdata, 'pg_logical/mappings'));
});

test('a store that throttles and breaks in every stage delays the restore, and no more', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup(ID, FILES);
  house.plantManifest(ID);
  house.source.fail('list', 'throttled');
  house.source.fail('get', 'broken');
  let failed = false;
  house.source.before = (verb, requested) => {
    if (failed || verb !== 'get' || !requested.endsWith('data.tar.gz')) return;
    failed = true;
    house.source.fail('get', 'broken');
    throw new StoreError({ failure: 'broken', provider: 'fake', operation: 'get', key: requested, reason: 'away' });
  };
  await house.restore();
  assert.ok(failed);
});

test('a label that the tar lacks comes from backup.info', async (t) => {
  const house = await makeHouse(t);
  const { backup_label: _, ...files } = FILES;
  await house.plantBackup(ID, files, { backupLabel: LABEL });
  await house.restore();
  assert.equal(await readFile(join(house.pgdata, 'backup_label'), 'utf8'), LABEL);
});

test('the own archive must be empty when the request or the missing annotation asks', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup(ID, FILES);
  house.own.plant('backups/restored/wals/00000002.history', 'x');
  await assert.rejects(house.restore({ checkEmptyArchive: true }), ConflictError);
  await assert.rejects(house.restore({ checkEmptyArchive: undefined }), ConflictError);
  await assertUntouched(house);
  await house.restore({ checkEmptyArchive: undefined, annotations: { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' } });
});

type Kind = typeof PreconditionError | typeof CorruptError | typeof InvalidInputError;
const REFUSALS: [string, (house: House) => unknown, Kind, RegExp][] = [
  ['an empty catalog', (house) => house.source.objects.clear(), PreconditionError, /catalog is empty/],
  ['missing WAL', (house) => house.source.objects.delete(WAL), PreconditionError, /lacks 1 of the 1 WAL.*02/],
  ['a missing tar', (house) => house.source.objects.delete(key(ID, 'data.tar.gz')), CorruptError, /no data\.tar/],
  ['a missing part', (house) => house.plantTar(ID, 'data_0002.tar.gz', {}), CorruptError, /part 1 of data/],
  ['an unknown packing', (house) => house.plantTar(ID, 'data_0001.tar.arj', {}), PreconditionError, /\.arj/],
  [
    'a tar that the manifest has',
    (house) => house.plantManifest(ID, { name: 'data_0001.tar.gz' }),
    CorruptError,
    /data_0001\.tar\.gz is gone/,
  ],
  [
    'a tar of another size than in the manifest',
    (house) => house.plantManifest(ID, { sizeBytes: 7 }),
    CorruptError,
    /data\.tar\.gz has \d+ bytes, 7 were stored/,
  ],
  [
    'WAL of another system',
    (house) => house.plantBackup(ID, FILES, { systemId: '42' }),
    PreconditionError,
    /system 42.*system 7711929476578540076/,
  ],
  [
    'another major',
    (house) => house.plantBackup(ID, FILES, { version: 170_004 }),
    PreconditionError,
    /PostgreSQL 17.*runs PostgreSQL 18/,
  ],
  [
    'too small a volume',
    (house) => house.plantBackup(ID, FILES, { clusterSize: 2 ** 60 }),
    PreconditionError,
    /not enough room for PGDATA.*the backup needs/,
  ],
  [
    'an option of snapshots',
    (house) => house.options.push('--snapshot-recovery-zone=z'),
    PreconditionError,
    /--snapshot-recovery-zone.*remove it/,
  ],
  [
    'a place for a tablespace that is not there',
    (house) => house.options.push('--tablespace=tb:/x'),
    InvalidInputError,
    /the backup has no such tablespace, it has none/,
  ],
  [
    'a tablespace where no volume is',
    (house) =>
      house
        .plantBackup(ID, FILES, { tablespaces: [{ name: 'tb', oid: 77, location: '/etc/passwd/tb' }] })
        .then(() => house.plantTar(ID, '77.tar.gz', {})),
    PreconditionError,
    /tablespace tb \/etc\/passwd\/tb cannot be made.*spec\.tablespaces/,
  ],
  ['a tablespace without tar', (house) => house.plantBackup(ID, FILES, TABLESPACE), CorruptError, /no 77\.tar/],
];
for (const [what, spoil, kind, message] of REFUSALS) {
  test(`refuses ${what} before PGDATA is touched`, async (t) => {
    const house = await makeHouse(t);
    await house.plantBackup(ID, FILES);
    await spoil(house);
    await assert.rejects(house.restore(), (error) => error instanceof kind && message.test(error.message));
    await assertUntouched(house);
  });
}

const TARGETS: [string, RecoveryTarget, RegExp][] = [
  [
    'an LSN beyond the archive',
    { targetLSN: '0/7000028' },
    /does not reach .*targetLSN 0\/7000028.*newest archived segment/,
  ],
  [
    'a time beyond the archive',
    { targetTime: '2999-01-01 00:00:00' },
    /does not reach .*targetTime 2999.*newest archived segment/,
  ],
  ['a time before the backup ended', { targetTime: '1970-01-01 00:00:01Z' }, /1970-01-01/],
  ['a timeline that nobody knows', { targetTLI: '7' }, /timeline 7 is not in the archive/],
  ['a backup that is not there', { backupID: 'B' }, /"B" does not exist/],
];
for (const [what, target, message] of TARGETS) {
  test(`refuses ${what} before PGDATA is touched`, async (t) => {
    const house = await makeHouse(t);
    await house.plantBackup(ID, FILES);
    await assert.rejects(
      house.restore({ target }),
      (error) => error instanceof PreconditionError && message.test(error.message),
    );
    await assertUntouched(house);
  });
}

test('a backup whose timeline was left before it ended is explained by the page of history', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup(ID, FILES);
  house.source.plant('backups/origin/wals/00000002.history', '1\t0/1000000\tno recovery target specified\n');
  const message = /timeline 2 left timeline 1 at 0\/1000000, before the backup ended.*targetTLI to current/;
  await assert.rejects(house.restore({ target: { backupID: ID } }), message);
  await assertUntouched(house);
});

test('a backup that ended in the last segment before a failover is restored from what the failover left of it', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup(ID, FILES);
  house.source.objects.delete(WAL);
  await assert.rejects(house.restore(), /lacks 1 of the 1 WAL segments that it needs, first 000000010000000000000002;/);
  house.source.plant(WAL.replace('.gz', '.partial.gz'), gzipSync(segmentOf(SYSTEM_ID)));
  await house.restore({ target: { targetTLI: 'current' } });
  await rm(house.pgdata, { recursive: true });
  house.source.objects.delete(WAL.replace('.gz', '.partial.gz'));
  house.source.plant('backups/origin/wals/00000002.history', '1\t0/2000200\tno recovery target specified\n');
  await assert.rejects(house.restore(), /first 000000010000000000000002 or 000000020000000000000002/);
  house.source.plant(WAL.replaceAll('00000001', '00000002'), gzipSync(segmentOf(SYSTEM_ID)));
  await house.restore();
  await rm(house.pgdata, { recursive: true });
  house.source.plant(WAL.replaceAll('00000001', '00000002'), gzipSync(segmentOf(1n)));
  await assert.rejects(house.restore(), /of system 1/);
});

test('refuses a folder that is not empty, and leaves it alone', async (t) => {
  const house = await makeHouse(t);
  await house.plantBackup(ID, FILES);
  await mkdir(house.pgdata);
  await writeFile(join(house.pgdata, 'precious'), 'x');
  await assert.rejects(house.restore(), (error) => error instanceof ConflictError && /precious/.test(error.message));
  assert.deepEqual(await readdir(house.pgdata), ['precious']);
});

test('what a killed restore left is replaced, by the marker that it left too', async (t) => {
  const house = await makeHouse(t);
  const location = join(house.folder, 'tablespaces', 'tb');
  await house.plantBackup(ID, FILES, { tablespaces: [{ name: 'tb', oid: 16384, location }] });
  await house.plantTar(ID, '16384.tar.gz', { 'PG_18_202506291/5/16400': 'far' });
  await mkdir(join(location, 'PG_18_202506291'), { recursive: true });
  await writeFile(join(location, 'PG_18_202506291', 'half'), 'x');
  await assert.rejects(house.restore(), ConflictError);
  await writeFile(join(location, '.cellar-restoring'), '');
  await house.restore();
  assert.deepEqual(await readdir(join(location, 'PG_18_202506291'), { recursive: true }), ['5', '5/16400']);
  const markers = (await readdir(house.folder, { recursive: true })).filter((name) =>
    name.endsWith('.cellar-restoring'),
  );
  assert.deepEqual(markers, [], 'what was restored counts from now on');
});

test('the marker lies in every folder while it is filled', async (t) => {
  const house = await makeHouse(t);
  const location = join(house.folder, 'tablespaces', 'tb');
  await house.plantBackup(ID, FILES, { tablespaces: [{ name: 'tb', oid: 16384, location }] });
  await house.plantTar(ID, '16384.tar.gz', { 'PG_18_202506291/5/16400': 'far' });
  let seen: string[] = [];
  house.source.before = (verb, requested) => {
    if (verb === 'get' && requested.endsWith('.tar.gz')) {
      seen = [house.pgdata, location].filter((folder) => existsSync(join(folder, '.cellar-restoring')));
    }
  };
  await house.restore();
  assert.deepEqual(seen, [house.pgdata, location]);
});

test('a Cluster without recovery source is refused', async (t) => {
  const house = await makeHouse(t);
  await assert.rejects(house.restore({ source: 'nobody' }), PreconditionError);
});

const DAMAGES: [string, (house: House) => unknown][] = [
  ['a tar that is cut', (house) => cut(house, key(ID, 'data.tar.gz'))],
  [
    'a later tar that is cut',
    async (house) => {
      await house.plantTar(ID, 'data_0001.tar.gz', { a: 'x' });
      cut(house, key(ID, 'data_0001.tar.gz'));
    },
  ],
  ['a backup without control file', (house) => house.plantBackup(ID, { PG_VERSION: '18', backup_label: LABEL })],
  ['a backup without any label', (house) => house.plantBackup(ID, { PG_VERSION: '18', 'global/pg_control': 'c' })],
  [
    'a label of another backup',
    (house) => house.plantBackup(ID, { ...FILES, backup_label: LABEL.replace(ID, '20261121T073041') }),
  ],
  [
    'a control file that is a link',
    (house) =>
      house.plantTar(ID, 'data_0001.tar.gz', { 'global/pg_control': { type: 'symlink', linkname: '/etc/passwd' } }),
  ],
  ['bytes that are not those of the manifest', (house) => house.plantManifest(ID, { crc32: 'deadbeef' })],
  ['a hostile tar', (house) => house.plantTar(ID, 'data_0001.tar.gz', { '../../escaped': 'x' })],
];
for (const [what, spoil] of DAMAGES) {
  test(`${what} leaves the folder empty`, async (t) => {
    const house = await makeHouse(t);
    await house.plantBackup(ID, FILES);
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
  await house.plantBackup(ID, FILES);
  await house.plantTar(ID, 'data_0001.tar.gz', { a: 'x' });
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
  tablespaces?: { name: string }[];
  walStorage?: Record<string, unknown>;
  signal?: AbortSignal;
};
type Files = Record<string, string | Partial<Header>>;

type House = {
  folder: string;
  pgdata: string;
  source: FakeStorage;
  own: FakeStorage;
  /** `data.restoreAdditionalCommandArgs` of the store. */
  options: string[];
  plantBackup(id: string, files: Files, more?: Partial<BackupInfo>): Promise<void>;
  plantTar(id: string, name: string, files: Files): Promise<void>;
  /** Of what `data.tar.gz` is, with one thing changed. */
  plantManifest(id: string, change?: Partial<BackupManifest['objects'][number]>): void;
  restore(options?: Options): Promise<unknown>;
};

async function makeHouse(t: TestContext): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-restore-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const pgdata = join(folder, 'pgdata');
  const source = new FakeStorage();
  const own = new FakeStorage();
  const options: string[] = [];
  const plantTar: House['plantTar'] = async (id, name, files) => {
    source.plant(key(id, name), gzipSync(await tarOf(files)));
  };
  source.plant(WAL, gzipSync(segmentOf(SYSTEM_ID)));
  const restorer = createRestorer({
    archives: fakeArchives({ source, own }, { data: { restoreAdditionalCommandArgs: options } }),
    ...{ pgdata, walFolder: join(folder, 'wal'), tablespacesFolder: join(folder, 'tablespaces'), log: silentLog() },
  });
  return {
    ...{ folder, pgdata, source, own, options, plantTar },
    plantBackup: (id, files, more = {}) => {
      source.plant(key(id, 'backup.info'), formatBackupInfo({ ...INFO, ...more }));
      return plantTar(id, 'data.tar.gz', files);
    },
    plantManifest: (id, change = {}) => {
      const bytes = source.objects.get(key(id, 'data.tar.gz'))?.bytes ?? Buffer.alloc(0);
      const checksum = crc32(bytes).toString(16).padStart(8, '0');
      const objects = [{ name: 'data.tar.gz', sizeBytes: bytes.length, crc32: checksum, ...change }];
      const manifest = { version: 1 as const, state: 'complete' as const, startedAt: '2026-11-22T07:30:41Z' };
      const text = formatManifest({ ...manifest, instance: 'pg-1', uploads: ['data.tar.gz'], objects });
      source.plant(serverKeys('backups', 'origin').manifest(id), text);
    },
    restore: async (asked = {}) => {
      const { checkEmptyArchive, signal = AbortSignal.timeout(60_000) } = { checkEmptyArchive: false, ...asked };
      return restorer.restore({ cluster: clusterOf(asked), checkEmptyArchive, signal });
    },
  };
}

const SYSTEM_ID = 7711929476578540076n;

/** As much of a segment as tells whose it is. */
function segmentOf(systemId: bigint): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeUInt16LE(0xd118, 0);
  bytes.writeUInt16LE(0x0002, 2);
  bytes.writeBigUInt64LE(systemId, 24);
  bytes.writeUInt32LE(16 * 1024 * 1024, 32);
  return bytes;
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
  systemId: String(SYSTEM_ID),
};

function cut(house: House, spoiled: string): void {
  const bytes = house.source.objects.get(spoiled)?.bytes ?? Buffer.alloc(0);
  house.source.plant(spoiled, bytes.subarray(0, bytes.length - 10));
}

function key(id: string, name: string): string {
  return `backups/origin/base/${id}/${name}`;
}

function clusterOf(options: Options): Cluster {
  const { annotations, source = 'origin', target, tablespaces, walStorage } = options;
  const plugin = { name: PLUGIN_NAME, parameters: { barmanObjectName: 'source' } };
  return {
    metadata: { name: 'restored', ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'own' } }],
      ...{ imageName: 'registry.local/postgresql:18.1-trixie' },
      ...(tablespaces === undefined ? {} : { tablespaces }),
      ...(walStorage === undefined ? {} : { walStorage }),
      bootstrap: { recovery: { source, ...(target === undefined ? {} : { recoveryTarget: target }) } },
      externalClusters: [
        { name: 'origin', plugin: { ...plugin, parameters: { ...plugin.parameters, serverName: 'origin' } } },
      ],
    },
  };
}

async function tarOf(files: Files): Promise<Buffer> {
  const tar = pack();
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  for (const [name, body] of Object.entries(files)) {
    if (typeof body === 'string') tar.entry({ name, uid, gid, mode: 0o600 }, body);
    else tar.entry({ name, uid, gid, ...body });
  }
  tar.finalize();
  return buffer(Readable.from(tar));
}

async function assertUntouched(house: House): Promise<void> {
  assert.deepEqual(await readdir(house.folder), []);
}
