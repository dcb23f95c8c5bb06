// Taking a backup of a real server, and everything that can end it early.
import assert from 'node:assert/strict';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { CancelledError, ConflictError, CorruptError, PreconditionError, StoreError } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { createLog, type Log, silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { findPostgres, initDatabase, type Postgres, startPostgres } from '../../test/postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../../test/unprivileged.ts';
import { type Events, NO_EVENTS } from '../telemetry/events.ts';
import { type BackupInfo, parseBackupInfo } from './info.ts';
import { type BackupManifest, parseManifest } from './manifest.ts';
import { type BackupProgress, type BackupTaker, createBackupTaker } from './take.ts';

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

test('DONE is the last word, after every tar, a look at each and a look for the WAL', async () => {
  const storage = makeStorage();
  const startedMs = Date.now();
  const taken = await taker(storage).take(request());
  const base = `backups/pg/base/${taken.id}/`;
  assert.match(taken.id, /^\d{8}T\d{6}$/);
  assert.equal(taken.name, `backup-${taken.id.replace('T', '')}`);
  const { requests } = storage;
  const manifest = `put ${base}annotations/cellar.json`;
  assert.match(requests.at(-3) ?? '', /^list backups\/pg\/wals\//);
  assert.deepEqual(requests.slice(-2), [manifest, `put ${base}backup.info`]);
  assert.ok(requests.indexOf(manifest) < requests.indexOf(`multipart ${base}data.tar`), 'before the first upload');
  assert.ok(requests.lastIndexOf(`head ${base}data.tar`) > requests.indexOf(`multipart ${base}data.tar#complete`));
  assert.deepEqual([...storage.objects.keys()].filter((key) => key.startsWith(base)).sort(), [
    `${base}annotations/cellar.json`,
    `${base}backup.info`,
    `${base}data.tar`,
  ]);
  const tar = storage.objects.get(`${base}data.tar`)?.bytes ?? Buffer.alloc(0);
  const checksum = crc32(tar).toString(16).padStart(8, '0');
  assert.deepEqual(manifestOf(storage), {
    ...{ version: 1, state: 'complete', instance: 'pg-1', uploads: [] },
    ...{ startedAt: manifestOf(storage)?.startedAt, aliveAt: manifestOf(storage)?.aliveAt },
    objects: [{ name: 'data.tar', sizeBytes: tar.length, crc32: checksum }],
    damagedBlocks: [],
  });
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
  assert.equal(taken.storedBytes, tar.length);
  assert.ok(
    taken.readBytes > 0 && taken.readBytes < tar.length,
    'a tar of unpacked files is a little more than they are',
  );
  assert.deepEqual(taken.metadata, {
    timeline: '1',
    version: '0.1.0',
    name: PLUGIN_NAME,
    displayName: 'BarmanCloudInstance',
    clusterUID: 'uid-1',
    pluginName: PLUGIN_NAME,
    location: 'ObjectStore minio, s3://bucket/backups/pg',
    destination: 's3://bucket/backups',
    objectStore: 'minio',
    serverName: 'pg',
    damagedBlocks: '0',
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

test('uploads that were begun twice are looked for under each tar once it is stored', async () => {
  const storage = new (class extends FakeStorage {
    override async abortOrphans(prefix = ''): Promise<string[]> {
      if (this.objects.has(prefix)) this.requests.push(`abort ${prefix}`);
      return [];
    }
  })();
  hook(storage, () => {});
  const { id } = await taker(storage).take(request());
  const aborts = storage.requests.filter((one) => one.startsWith('abort '));
  assert.deepEqual(aborts, [`abort backups/pg/base/${id}/data.tar`]);
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
  await assert.rejects(
    taker(storage, { postgres: { host: join(folder, 'nowhere') } }).take(request()),
    PreconditionError,
  );
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

test('an object that is not what was sent is no backup', async () => {
  const storage = makeStorage();
  hook(storage, (verb, key) => {
    if (verb === 'head' && key.endsWith('data.tar')) storage.plant(key, 'another content');
  });
  await assert.rejects(taker(storage).take(request()), CorruptError);
  await assertFailed(storage, /^failure verifying objects \(.*the store holds 15\)$/, 'data.tar');
});

test('a store that fails for a moment at every step is waited out', async () => {
  const storage = makeStorage();
  const failed = new Set<string>();
  hook(storage, (verb, key) => {
    const step = `${verb} ${key.slice(key.lastIndexOf('/'))}`;
    if (verb === 'put' || verb === 'multipart' || verb === 'head') {
      if (!failed.has(step)) {
        failed.add(step);
        throw new StoreError({ failure: 'broken', provider: 'fake', operation: verb, key, reason: 'injected' });
      }
    }
  });
  assert.equal((await taker(storage).take(request())).info.status, 'DONE');
  for (const step of ['put /cellar.json', 'multipart /data.tar#1', 'multipart /data.tar#complete', 'head /data.tar']) {
    assert.ok(failed.has(step), step);
  }
});

test('a taker that is stopped cancels its backup, records that, and takes no more', async () => {
  const storage = makeStorage();
  const backups = taker(storage);
  hook(storage, (verb) => {
    if (verb === 'multipart') backups.stop();
  });
  await assert.rejects(backups.take(request()), CancelledError);
  await assertFailed(storage, /^failure uploading data \(the backup was cancelled: the sidecar is stopping\)$/);
  await assert.rejects(backups.take(request()), CancelledError);
});

test('what a failed backup may have left open is looked for by the next one', async () => {
  const storage = makeStorage();
  const backups = taker(storage);
  hook(storage, (verb, key) => {
    if (verb === 'multipart' && key.endsWith('#1')) throw new Error('the disk of the store is full');
  });
  await assert.rejects(backups.take(request()), /full/);
  assert.deepEqual(manifestOf(storage)?.uploads, ['data.tar']);
  hook(storage, () => {});
  await backups.take(request());
  const [failed] = [...storage.objects.keys()].filter((key) => key.endsWith('cellar.json')).sort();
  assert.deepEqual(parseManifest(storage.objects.get(failed ?? '')?.bytes.toString() ?? '')?.uploads, []);
  storage.requests.length = 0;
  await backups.take(request());
  assert.equal(storage.requests.includes('list backups/pg/base/'), false, 'looked once');
});

test('progress tells the phase at any time, and bytes and files once the copy has begun', async () => {
  const storage = makeStorage();
  const backups = taker(storage);
  const seen = new Map<string, BackupProgress | undefined>();
  hook(storage, (verb) => {
    const phase = backups.progress()?.phase ?? 'none';
    if (!seen.has(phase) || verb === 'head') seen.set(phase, backups.progress());
  });
  assert.equal(backups.progress(), undefined);
  const taken = await backups.take(request());
  assert.equal(backups.progress(), undefined);
  seen.delete('none');
  const phases = [
    'reading server facts',
    'uploading data',
    'verifying objects',
    'waiting for WAL',
    'uploading backup.info',
  ];
  assert.deepEqual([...seen.keys()], phases);
  assert.equal(seen.get('reading server facts')?.sizeBytes, undefined);
  const { name, id, files = 0, sizeBytes = 0, totalBytes = 0 } = seen.get('verifying objects') ?? {};
  assert.deepEqual([name, id], ['b', taken.id]);
  assert.ok(files > 500 && sizeBytes > 10_000_000 && totalBytes > 10_000_000, `${files} ${sizeBytes} ${totalBytes}`);
});

test('a Backup that names another store, and parameters that mean nothing, are answered in words', async () => {
  const storage = makeStorage();
  const told: string[] = [];
  const lines: string[] = [];
  const events: Events = {
    warn: (cluster, reason, message) => told.push(`${cluster.metadata.name} ${reason} ${message}`) > 0,
    inform: () => undefined,
    settled: async () => undefined,
  };
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  const parameters = { barmanObjectName: 'cold', waitForArchive: 'true' };
  const taken = await taker(storage, { events, log }).take({ ...request(), parameters });
  assert.equal(taken.metadata.objectStore, 'minio');
  assert.deepEqual(told.length, 1);
  assert.match(told[0] ?? '', /^pg BackupStoreIgnored .*ObjectStore cold.*its Cluster's, ObjectStore minio, s3:/);
  assert.ok(lines.some((line) => line.includes('ObjectStore cold')));
  assert.ok(lines.some((line) => line.includes('waitForArchive: a backup always waits')));
});

test('a folder that is not that of the server that was asked is no backup', async (t) => {
  const storage = makeStorage();
  const asked = (more: { pgdata: string }) => taker(storage, more).take(request());
  const another = join(folder, 'another');
  await mkdir(join(another, 'global'), { recursive: true });
  t.after(() => rm(another, { recursive: true }));
  const control = await readFile(join(pgdata, 'global', 'pg_control'));
  const pid = await readFile(join(pgdata, 'postmaster.pid'), 'utf8');
  const refused = (message: RegExp) => (error: unknown) =>
    error instanceof PreconditionError && message.test(error.message) && error.message.includes('--host');

  await writeFile(join(another, 'global', 'pg_control'), Buffer.alloc(control.length, 7));
  await writeFile(join(another, 'postmaster.pid'), pid);
  await assert.rejects(asked({ pgdata: another }), refused(/system identifier \d+, the folder has \d+/));

  await writeFile(join(another, 'global', 'pg_control'), control);
  await writeFile(join(another, 'postmaster.pid'), pid.replace(/^\d+/, '1'));
  await assert.rejects(asked({ pgdata: another }), refused(/postmaster\.pid/), 'of a sibling that runs');
  await rm(join(another, 'postmaster.pid'));
  await assert.rejects(asked({ pgdata: another }), refused(/postmaster\.pid/), 'of a sibling that does not run');
  assert.ok(![...storage.objects.keys()].some((key) => key.endsWith('.tar') || key.endsWith('cellar.json')));
});

test('arguments say where PostgreSQL is, and a password among them is told to nobody', async () => {
  const storage = makeStorage();
  const lines: string[] = [];
  const log = createLog({ level: 'debug', destination: { write: (line) => void lines.push(line) } });
  const nowhere = { host: join(folder, 'nowhere') };
  const by = (dbname: string) =>
    taker(storage, { postgres: nowhere, log, additionalCommandArgs: [`--dbname=${dbname}`] });
  const good = `host=${server.socketFolder} password='hush hush' application_name=x`;
  assert.equal((await by(good).take(request())).info.status, 'DONE');
  const wrong = await by(`host=${folder}/away password=hush`)
    .take(request())
    .catch((error: Error) => error);
  assert.ok(wrong instanceof PreconditionError);
  assert.doesNotMatch([wrong.message, ...lines].join('\n'), /hush/);
});

test('a damaged page does not end a backup, and everybody is told', async (t) => {
  const storage = makeStorage();
  await server.query('CREATE TABLE damaged AS SELECT generate_series(1, 5000) AS g');
  await server.query('CHECKPOINT');
  const [row] = await server.query<{ path: string }>("SELECT pg_relation_filepath('damaged') AS path");
  const path = row?.path ?? '';
  const file = await open(join(pgdata, path), 'r+');
  t.after(async () => {
    await file.close();
    await server.query('DROP TABLE damaged');
  });
  await file.write(Buffer.from('damage'), 0, 6, 2 * 8192 + 5000);
  const told: string[] = [];
  const events: Events = {
    warn: (_, reason, message) => told.push(`${reason} ${message}`) > 0,
    inform: () => undefined,
    settled: async () => undefined,
  };
  const taken = await taker(storage, { events }).take(request());
  assert.equal(taken.info.status, 'DONE');
  assert.equal(taken.metadata.damagedBlocks, '1');
  assert.deepEqual(manifestOf(storage)?.damagedBlocks, [{ path, block: 2 }]);
  assert.equal(told.length, 1);
  assert.match(
    told[0] ?? '',
    new RegExp(`^DamagedPages backup b .* damaged pages: 1 in all, the first is block 2 of ${path};`),
  );
});

test('a tablespace that appears while PostgreSQL begins the backup is part of it', async (t) => {
  const storage = makeStorage();
  const location = join(folder, 'late');
  await mkdir(location);
  await unprivilegedAccount().own(location);
  let manifests = 0;
  hook(storage, async (verb, key) => {
    // Stored after PostgreSQL was asked for its tablespaces, and before it begins.
    if (verb === 'put' && key.endsWith('cellar.json') && ++manifests === 1) {
      await server.query(`CREATE TABLESPACE late LOCATION '${location}'`);
    }
  });
  t.after(() => server.query('DROP TABLESPACE late'));
  const taken = await taker(storage).take(request());
  const [{ oid = 0 } = {}] = taken.info.tablespaces ?? [];
  assert.deepEqual(
    manifestOf(storage)?.objects.map(({ name }) => name),
    [`${oid}.tar`, 'data.tar'],
  );
  assert.equal(manifests, 3, 'running, running with its name, complete');
});

test('waiting for a spread checkpoint is said, with what would shorten it, and no time limit of PostgreSQL ends it', async (t) => {
  const storage = makeStorage();
  t.after(() => server.query('ALTER ROLE postgres RESET ALL'));
  for (const limit of ['statement_timeout', 'transaction_timeout', 'idle_session_timeout']) {
    const known = await server.query('SELECT 1 AS one FROM pg_settings WHERE name = $1', [limit]);
    if (known.length > 0) await server.query(`ALTER ROLE postgres SET ${limit} = '2s'`);
  }
  const { promise: said, resolve: say } = Promise.withResolvers<string>();
  const write = (line: string) => {
    if (line.includes('checkpoint')) say(line);
  };
  await server.query('CREATE TABLE dirty AS SELECT generate_series(1, 300000) AS g');
  const log = createLog({ level: 'info', destination: { write } });
  const taking = taker(storage, { log, immediateCheckpoint: false }).take(request());
  // A backup that does not wait ends, which is not what is tested.
  const line = await Promise.race([said, taking.then(() => 'it did not wait')]);
  assert.match(line, /waiting for a spread checkpoint; .*immediateCheckpoint: true makes it immediate/);
  await server.query('CHECKPOINT');
  assert.equal((await taking).info.status, 'DONE');
  await server.query('DROP TABLE dirty');
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

type Changes = {
  postgres?: { host: string };
  events?: Events;
  log?: Log;
  additionalCommandArgs?: string[];
  immediateCheckpoint?: boolean;
  pgdata?: string;
};

function taker(storage: FakeStorage, changes: Changes = {}): BackupTaker {
  const {
    postgres,
    events = NO_EVENTS,
    log = silentLog(),
    additionalCommandArgs = [],
    immediateCheckpoint = true,
  } = changes;
  return createBackupTaker({
    archives: fakeArchives({ minio: storage }, { data: { immediateCheckpoint, additionalCommandArgs } }),
    postgres: { host: server.socketFolder, port: server.port, user: 'postgres', database: 'postgres', ...postgres },
    pgdata: changes.pgdata ?? pgdata,
    instanceName: 'pg-1',
    pluginVersion: '0.1.0',
    events,
    log,
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

/** The newest one. */
function manifestOf(storage: FakeStorage): BackupManifest | undefined {
  const keys = [...storage.objects.keys()].filter((key) => key.endsWith('/annotations/cellar.json')).sort();
  return parseManifest(storage.objects.get(keys.at(-1) ?? '')?.bytes.toString() ?? '');
}

/** One FAILED record, the manifest, no other object but those named, and no session left in PostgreSQL. */
async function assertFailed(storage: FakeStorage, error: RegExp, ...others: string[]): Promise<void> {
  const keys = [...storage.objects.keys()].filter((key) => key.includes('/base/')).sort();
  assert.deepEqual(
    keys.map((key) => key.slice(key.lastIndexOf('/') + 1)),
    ['cellar.json', 'backup.info', ...others],
  );
  const info = infoOf(storage, keys[0]?.split('/')[3] ?? '');
  assert.equal(info.status, 'FAILED');
  assert.match(info.error ?? '', error);
  assert.ok(info.beginWal);
  const sessions = "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'barman_cloud_backup'";
  // The server ends a session whose client has gone a moment later.
  for (let open = 1; open > 0; ) open = (await server.query<{ open: number }>(sessions))[0]?.open ?? 0;
}
