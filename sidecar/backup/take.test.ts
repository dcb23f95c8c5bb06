// Taking a backup of a real server, and everything that can end it early.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CancelledError, ConflictError, PreconditionError } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { findPostgres, initDatabase, type Postgres, startPostgres } from '../../test/postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../../test/unprivileged.ts';
import { type BackupInfo, parseBackupInfo } from './info.ts';
import { type BackupTaker, createBackupTaker } from './take.ts';

let folder = '';
let pgdata = '';
let server: Postgres;

before(async () => {
  folder = await makeShortFolder('cellar-take-');
  const account = unprivilegedAccount();
  await mkdir(join(folder, 'archive'));
  await account.own(folder);
  const programs = await findPostgres(account, folder);
  pgdata = join(folder, 'data', 'pgdata');
  await initDatabase({ programs, account, pgdata, logFile: join(folder, 'initdb.log') });
  const archive = join(folder, 'archive');
  server = await startPostgres({
    programs,
    account,
    pgdata,
    socketFolder: join(folder, 'run'),
    logFile: join(folder, 'postgres.log'),
    settings: {
      fsync: 'off',
      archive_mode: 'on',
      archive_command: `cp %p ${archive}/.%f && mv ${archive}/.%f ${archive}/%f`,
      DateStyle: 'German',
      TimeZone: 'Asia/Kathmandu',
    },
  });
});

after(async () => {
  await server?.stop('immediate');
  await rm(folder, { recursive: true, force: true });
});

test('DONE is the last word, after every tar and a look for the WAL', async () => {
  const storage = makeStorage();
  const startedMs = Date.now();
  const taken = await taker(storage).take(request());
  const base = `backups/pg/base/${taken.id}/`;
  assert.match(taken.id, /^\d{8}T\d{6}$/);
  assert.equal(taken.name, `backup-${taken.id.replace('T', '')}`);
  assert.equal(storage.requests.at(-1), `put ${base}backup.info`);
  assert.match(storage.requests.at(-2) ?? '', /^list backups\/pg\/wals\//);
  assert.deepEqual([...storage.objects.keys()].filter((key) => key.startsWith(base)).sort(), [
    `${base}backup.info`,
    `${base}data.tar`,
  ]);
  const info = infoOf(storage, taken.id);
  assert.equal(info.status, 'DONE');
  assert.equal(info.serverName, 'cloud');
  assert.equal(info.backupName, taken.name);
  assert.equal(info.tablespaces, undefined);
  assert.ok(Math.abs(taken.startedAt.getTime() - startedMs) < 60_000, 'times are UTC whatever the server is set to');
  assert.match(
    storage.objects.get(`${base}backup.info`)?.bytes.toString() ?? '',
    /^begin_time=[-0-9]+ [:0-9]+\.\d{6}\+00:00$/m,
  );
  assert.ok(taken.backupLabel.includes(`LABEL: Barman backup cloud ${taken.id}\n`));
  assert.deepEqual(taken.metadata, {
    timeline: '1',
    version: '0.1.0',
    name: PLUGIN_NAME,
    displayName: 'BarmanCloudInstance',
    clusterUID: 'uid-1',
    pluginName: PLUGIN_NAME,
    location: 'ObjectStore minio, s3://bucket/backups/pg',
    objectStore: 'minio',
    serverName: 'pg',
  });
});

test('a second backup of the instance is refused while one runs; the first goes on', async () => {
  const storage = makeStorage();
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  hook(storage, async (verb) => {
    if (verb !== 'multipart') return;
    reach();
    await released;
  });
  const backups = taker(storage);
  const first = backups.take(request());
  await reached;
  const refused = (error: unknown) => error instanceof ConflictError && /backup b of instance pg-1/.test(error.message);
  await assert.rejects(backups.take(request()), refused);
  release();
  assert.equal((await first).info.status, 'DONE');
});

test('a store that fails ends the backup in PostgreSQL, records FAILED, and the next one succeeds', async () => {
  const storage = makeStorage();
  hook(storage, (verb, key) => {
    if (verb === 'multipart' && key.endsWith('#1')) throw new Error('the disk of the store is full');
  });
  const backups = taker(storage);
  await assert.rejects(backups.take(request()), /the disk of the store is full/);
  await assertFailed(storage, /^failure uploading data \(the disk of the store is full\)$/);
  hook(storage, () => {});
  assert.equal((await backups.take(request())).info.status, 'DONE');
});

test('a cancelled backup is recorded and leaves no upload', async () => {
  const storage = makeStorage();
  const stop = new AbortController();
  hook(storage, (verb) => {
    if (verb === 'multipart') stop.abort(new Error('the manager went away'));
  });
  await assert.rejects(taker(storage).take(request(stop.signal)), CancelledError);
  await assertFailed(storage, /cancelled/);
});

test('a lost connection to PostgreSQL ends the backup with that reason', async () => {
  const storage = makeStorage();
  hook(storage, async (verb) => {
    if (verb !== 'multipart') return;
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'barman_cloud_backup'",
    );
  });
  const lost = (error: unknown) =>
    error instanceof PreconditionError && /connection to PostgreSQL broke/.test(error.message);
  await assert.rejects(taker(storage).take(request()), lost);
  await assertFailed(storage, /connection to PostgreSQL broke/);
});

test('a backup whose WAL does not arrive is not DONE', async () => {
  const storage = new FakeStorage();
  const stop = new AbortController();
  let looks = 0;
  storage.before = (verb, key) => {
    if (verb !== 'list' || !key.includes('/wals/')) return;
    looks++;
    assert.ok([...storage.objects.keys()].every((stored) => !stored.endsWith('backup.info')));
    if (looks === 3) stop.abort();
  };
  await assert.rejects(taker(storage).take(request(stop.signal)), CancelledError);
  await assertFailed(storage, /^failure waiting for WAL/, 'data.tar');
});

test('PostgreSQL that cannot be reached and a Cluster without a store leave nothing in the store', async () => {
  const storage = makeStorage();
  await assert.rejects(taker(storage, { host: join(folder, 'nowhere') }).take(request()), PreconditionError);
  const nowhere: Cluster = { metadata: { name: 'pg' }, spec: {} };
  const unnamed = { ...request(), cluster: nowhere };
  await assert.rejects(taker(storage).take(unnamed), /barmanObjectName/);
  assert.ok(![...storage.objects.keys()].some((key) => key.includes('/base/')));
});

test('an id that is taken is not used again', async () => {
  const storage = makeStorage();
  const taken = await taker(storage).take(request());
  const stamp = Date.now();
  for (let second = -1; second < 20; second++) {
    const digits = new Date(stamp + second * 1000).toISOString().replaceAll(/\D/g, '').slice(0, 14);
    storage.plant(`backups/pg/base/${digits.slice(0, 8)}T${digits.slice(8)}/data.tar.gz`, 'somebody');
  }
  const next = await taker(storage).take(request());
  assert.ok(next.id > taken.id);
  assert.equal(storage.objects.has(`backups/pg/base/${next.id}/data.tar.gz`), false);
});

type Before = NonNullable<FakeStorage['before']>;

/** A store that the server's archived segments reach before each listing. */
function makeStorage(): FakeStorage {
  const storage = new FakeStorage();
  hook(storage, () => {});
  return storage;
}

function hook(storage: FakeStorage, more: Before): void {
  storage.before = async (verb, key) => {
    if (verb === 'list') await plantWal(storage);
    await more(verb, key);
  };
}

async function plantWal(storage: FakeStorage): Promise<void> {
  for (const name of await readdir(join(folder, 'archive'))) {
    if (!/^[0-9A-F]{24}$/.test(name)) continue;
    const key = `backups/pg/wals/${name.slice(0, 16)}/${name}.gz`;
    if (!storage.objects.has(key)) storage.plant(key, await readFile(join(folder, 'archive', name)));
  }
}

function taker(storage: FakeStorage, postgres: { host?: string } = {}): BackupTaker {
  return createBackupTaker({
    archives: fakeArchives({ minio: storage }, { data: { immediateCheckpoint: true } }),
    postgres: { host: server.socketFolder, port: server.port, user: 'postgres', database: 'postgres', ...postgres },
    pgdata,
    instanceName: 'pg-1',
    pluginVersion: '0.1.0',
    log: silentLog(),
  });
}

function request(signal: AbortSignal = AbortSignal.timeout(120_000)) {
  const backup: Backup = { metadata: { name: 'b' }, spec: { cluster: { name: 'pg' } } };
  const cluster: Cluster = {
    metadata: { name: 'pg', uid: 'uid-1' },
    spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio' } }] },
  };
  return { cluster, backup, parameters: {}, signal };
}

function infoOf(storage: FakeStorage, id: string): BackupInfo {
  return parseBackupInfo(storage.objects.get(`backups/pg/base/${id}/backup.info`)?.bytes.toString() ?? '');
}

/** One FAILED record, no other object but those named, and no session left in PostgreSQL. */
async function assertFailed(storage: FakeStorage, error: RegExp, ...others: string[]): Promise<void> {
  const keys = [...storage.objects.keys()].filter((key) => key.includes('/base/')).sort();
  assert.deepEqual(
    keys.map((key) => key.slice(key.lastIndexOf('/') + 1)),
    ['backup.info', ...others],
  );
  const info = infoOf(storage, keys[0]?.split('/')[3] ?? '');
  assert.equal(info.status, 'FAILED');
  assert.match(info.error ?? '', error);
  assert.ok(info.beginWal);
  const sessions = "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'barman_cloud_backup'";
  // The server ends a session whose client has gone a moment later.
  for (let open = 1; open > 0; ) open = (await server.query<{ open: number }>(sessions))[0]?.open ?? 0;
}
