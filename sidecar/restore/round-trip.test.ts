// A real server, backed up under load, restored and started by replaying WAL.
import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { type FakeStorage, fakeArchive, fakeArchives, FakeStorage as Storage } from '../../test/fake-storage.ts';
import { findPostgres, initDatabase, installedMajors, type Postgres, startPostgres } from '../../test/postgres.ts';
import { type Account, makeShortFolder, unprivilegedAccount } from '../../test/unprivileged.ts';
import { listBackups } from '../backup/catalog.ts';
import { createBackupTaker } from '../backup/take.ts';
import { serverKeys } from '../store/keys.ts';
import { createRestorer } from './run.ts';

const MAJORS = [18, 14].filter((major) => installedMajors().some((installed) => installed === major));

for (const major of MAJORS) {
  test(`PostgreSQL ${major} comes back with its tablespace from what a backup under load stored`, async (t) => {
    const house = await buildHouse(t, major);
    const { server, storage, pgdata, tablespace, account, folder } = house;
    await server.query(`CREATE TABLESPACE tb LOCATION '${tablespace}'`);
    await server.query(
      'CREATE TABLE far TABLESPACE tb AS SELECT g, md5(g::text) AS sum FROM generate_series(1, 20000) g',
    );
    await server.query('CREATE TABLE near AS SELECT g, md5(g::text) AS sum FROM generate_series(1, 20000) g');
    const [database] = await server.query<{ oid: number }>("SELECT oid FROM pg_database WHERE datname = 'postgres'");
    const session = await server.connect();
    t.after(() => session.end());
    await session.query('CREATE TEMP TABLE fleeting AS SELECT generate_series(1, 1000)');
    let writing = true;
    const load = (async () => {
      while (writing)
        await session.query('INSERT INTO near SELECT 0, md5(random()::text) FROM generate_series(1, 500)');
    })();

    const taken = await house.take();
    writing = false;
    await load;
    await server.query("INSERT INTO near VALUES (-1, 'after the backup')");
    const before = await sums(server);
    await server.query('SELECT pg_switch_wal()');
    await session.end();
    await server.stop();

    const [entry] = await listBackups(fakeArchive(storage), AbortSignal.timeout(10_000));
    assert.equal(entry?.state, 'done');
    assert.equal(taken.info.version, Number(`${major}${String(taken.info.version).slice(2)}`));
    assert.match(taken.backupLabel, /^START WAL LOCATION: /);
    assert.equal(taken.info.endTime !== undefined && taken.info.beginTime !== undefined, true);
    const base = serverKeys('backups', 'pg').backup(taken.id);
    const names = [...storage.objects.keys()]
      .filter((key) => key.startsWith(base))
      .map((key) => key.slice(base.length));
    assert.ok(names.includes('data_0001.tar.gz'), `the limit splits PGDATA: ${names.join(', ')}`);
    assert.equal(taken.metadata.serverName, 'pg');

    await rm(pgdata, { recursive: true });
    await rm(join(tablespace, '..'), { recursive: true });
    const walFolder = join(folder, 'wal');
    await mkdir(walFolder);
    const restorer = createRestorer({ archives: house.archives, pgdata, walFolder, log: silentLog() });
    const cluster = recoveryCluster();
    const answer = await restorer.restore({ cluster, checkEmptyArchive: false, signal: AbortSignal.timeout(60_000) });
    assert.match(answer.config, /^restore_command = '\/controller\/manager wal-restore .* %f %p'$/m);
    assert.match(answer.config, /^recovery_target_action = 'promote'$/m);
    assert.equal(answer.config.includes('recovery_target ='), false);

    assert.equal(await readlink(join(pgdata, 'pg_wal')), join(walFolder, 'pg_wal'));
    assert.equal((await lstat(pgdata)).mode & 0o777, 0o700);
    assert.equal(await readFile(join(pgdata, 'backup_label'), 'utf8'), taken.backupLabel);
    assert.deepEqual(
      (await readdir(join(pgdata, 'base', String(database?.oid)))).filter((name) => /^t\d/.test(name)),
      [],
      'no temporary relation',
    );
    await writeFile(join(pgdata, 'recovery.signal'), '');
    for (const path of [pgdata, walFolder, join(tablespace, '..')]) await account.own(path);
    const restored = await startServer(t, house, {
      restore_command: `cp ${house.walArchive}/%f %p`,
      archive_mode: 'off',
    });
    await promoted(restored);
    assert.deepEqual(await sums(restored), before);
    const amcheck = await restored.query<{ count: string }>('SELECT count(*) FROM pg_class');
    assert.ok(Number(amcheck[0]?.count) > 100);
    await restored.stop();
  });
}

type House = {
  folder: string;
  account: Account;
  programs: Awaited<ReturnType<typeof findPostgres>>;
  pgdata: string;
  tablespace: string;
  walArchive: string;
  socketFolder: string;
  server: Postgres;
  storage: FakeStorage;
  archives: ReturnType<typeof fakeArchives>;
  take(): ReturnType<ReturnType<typeof createBackupTaker>['take']>;
};

async function buildHouse(t: TestContext, major: number): Promise<House> {
  const folder = await makeShortFolder('cellar-rt-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  const walArchive = join(folder, 'archive');
  const tablespace = join(folder, 'tablespaces', 'tb');
  for (const path of [walArchive, tablespace]) await mkdir(path, { recursive: true });
  await account.own(folder);
  const programs = await findPostgres(account, folder, major);
  const pgdata = join(folder, 'data', 'pgdata');
  const socketFolder = join(folder, 'run');
  await initDatabase({ programs, account, pgdata, logFile: join(folder, 'initdb.log') });
  const storage = new Storage();
  storage.before = async (verb) => {
    if (verb === 'list') await plantWal(storage, walArchive);
  };
  const archives = fakeArchives(
    { minio: storage },
    {
      data: {
        compression: 'gzip',
        immediateCheckpoint: true,
        additionalCommandArgs: ['--max-archive-size=1MB'],
      },
    },
  );
  const house = { folder, account, programs, pgdata, tablespace, walArchive, socketFolder, storage, archives };
  const archive_command = `cp %p ${walArchive}/.%f && mv ${walArchive}/.%f ${walArchive}/%f`;
  const server = await startServer(t, house, { archive_mode: 'on', archive_command });
  const taker = createBackupTaker({
    archives,
    postgres: { host: socketFolder, port: server.port, user: 'postgres', database: 'postgres' },
    pgdata,
    instanceName: 'pg-1',
    pluginVersion: '0.1.0',
    log: silentLog(),
  });
  const backup: Backup = { metadata: { name: 'backup-1' }, spec: { cluster: { name: 'pg' } } };
  const request = { cluster: archivingCluster(), backup, parameters: {}, signal: AbortSignal.timeout(120_000) };
  return { ...house, server, take: () => taker.take(request) };
}

async function startServer(
  t: TestContext,
  house: Pick<House, 'programs' | 'account' | 'pgdata' | 'socketFolder' | 'folder'>,
  settings: Record<string, string>,
): Promise<Postgres> {
  const { programs, account, pgdata, socketFolder } = house;
  const logFile = join(house.folder, 'postgres.log');
  const all = { fsync: 'off', max_connections: '20', ...settings };
  const server = await startPostgres({ programs, account, pgdata, socketFolder, logFile, settings: all });
  t.after(() => server.stop('immediate'));
  return server;
}

async function plantWal(storage: FakeStorage, walArchive: string): Promise<void> {
  for (const name of await readdir(walArchive)) {
    if (!/^[0-9A-F]{24}$/.test(name)) continue;
    const key = `backups/pg/wals/${name.slice(0, 16)}/${name}`;
    if (!storage.objects.has(key)) storage.plant(key, await readFile(join(walArchive, name)));
  }
}

async function sums(server: Postgres): Promise<unknown> {
  return server.query(
    `SELECT (SELECT md5(string_agg(g || sum, ',' ORDER BY g, sum)) FROM near) AS near, (SELECT count(*) FROM near) AS rows,
            (SELECT md5(string_agg(g || sum, ',' ORDER BY g, sum)) FROM far) AS far`,
  );
}

async function promoted(server: Postgres): Promise<void> {
  const client = await server.connect();
  try {
    for (;;) {
      const { rows } = await client.query('SELECT pg_is_in_recovery() AS recovering');
      if (rows[0]?.recovering === false) return;
      await client.query('SELECT pg_sleep(0.1)');
    }
  } finally {
    await client.end();
  }
}

function archivingCluster(): Cluster {
  return {
    metadata: { name: 'pg', uid: 'uid-1' },
    spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio' } }] },
  };
}

function recoveryCluster(): Cluster {
  return {
    metadata: { name: 'restored' },
    spec: {
      bootstrap: { recovery: { source: 'origin' } },
      externalClusters: [
        { name: 'origin', plugin: { name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio', serverName: 'pg' } } },
      ],
      walStorage: { size: '1Gi' },
    },
  };
}
