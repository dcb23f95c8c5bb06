// What a real server's folders become in the store, and the calls that it sees, primary and standby.
import assert from 'node:assert/strict';
import {
  appendFile,
  chmod,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { extract, type Header } from 'tar-stream';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { createLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { findPostgres, initDatabase, installedMajors, type Postgres, startPostgres } from '../../test/postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../../test/unprivileged.ts';
import { codecByName } from '../stream/codec.ts';
import { createBackupTaker, type TakenBackup } from './take.ts';

const WANTED = process.env.CELLAR_ALL === '1' ? installedMajors() : [14, 18];
const MAJORS = installedMajors().filter((major) => WANTED.includes(major));
const LONG_NAME = `${'bäckup-'.repeat(12)}${'x'.repeat(90)}.txt`;

for (const major of MAJORS) {
  test(`PostgreSQL ${major}: every odd place of a data folder is stored, or left out, as it should be`, async (t) => {
    const house = await buildHouse(t, major);
    const { pgdata, folder, server } = house;
    const [far, inside] = [join(folder, 'far'), join(pgdata, 'inside')];
    for (const path of [far, inside]) {
      await mkdir(path);
      await house.account.own(path);
    }
    const session = await server.connect();
    t.after(() => session.end());
    await session.query(`CREATE TABLESPACE far LOCATION '${far}'`);
    await session.query(`CREATE TABLESPACE inside LOCATION '${inside}'`);
    await session.query('CREATE TABLE t_far TABLESPACE far AS SELECT 1 AS g');
    await session.query('CREATE TABLE t_inside TABLESPACE inside AS SELECT 1 AS g');
    if (major >= 15) {
      await session.query('SET allow_in_place_tablespaces = on');
      await session.query("CREATE TABLESPACE here LOCATION ''");
      await session.query('CREATE TABLE t_here TABLESPACE here AS SELECT 1 AS g');
    }
    await session.query('CREATE TEMP TABLE fleeting AS SELECT generate_series(1, 1000)');
    await session.query('CHECKPOINT');
    const paths = await session.query<{ name: string; path: string }>(
      "SELECT relname AS name, pg_relation_filepath(oid) AS path FROM pg_class WHERE relname LIKE 't\\__%' OR relname = 'fleeting'",
    );
    const pathOf = new Map(paths.rows.map(({ name, path }) => [name, path]));
    const oids = await session.query<{ name: string; oid: number }>('SELECT spcname AS name, oid FROM pg_tablespace');
    const oidOf = new Map(oids.rows.map(({ name, oid }) => [name, String(oid)]));

    await mkdir(join(far, 'PG_9.6_201608131/5'), { recursive: true });
    await writeFile(join(far, 'PG_9.6_201608131/5/16384'), 'another server');
    await mkdir(join(pgdata, 'base/pgsql_tmp'), { recursive: true });
    await writeFile(join(pgdata, 'base/pgsql_tmp/pgsql_tmp1.0'), 'sort');
    await mkdir(join(pgdata, 'log'), { recursive: true });
    await writeFile(join(pgdata, 'log/postgresql.log'), 'log');
    for (const stale of ['backup_label.old', 'tablespace_map', 'backup_manifest'])
      await writeFile(join(pgdata, stale), '');
    await writeFile(join(pgdata, LONG_NAME), 'long');
    await symlink(join(folder, 'etc/postgresql.conf'), join(pgdata, 'to-file'));
    await writeFile(join(pgdata, 'sparse'), '');
    await truncate(join(pgdata, 'sparse'), 40 * 1024 * 1024 + 1);
    await house.account.own(pgdata);

    const lines: string[] = [];
    const taken = await house.take({ lines });
    assert.match(lines.join(''), /\["[^"]*included\.conf"\].*outside the data folder are not in the backup/);
    const data = await house.membersOf(taken, 'data.tar.gz');
    const names = data.map(({ name }) => name);
    assert.equal(names[0], './');
    assert.equal(names.at(-1), 'backup_label');
    assert.deepEqual(names.slice(-4, -1), ['global/pg_control', 'postgresql.conf', 'pg_hba.conf']);
    assert.equal(names.filter((name) => name === 'backup_label').length, 1);
    const byName = new Map(data.map((header) => [header.name, header]));
    assert.equal(byName.get(`./${LONG_NAME}`)?.size, 4);
    assert.equal(byName.get('./sparse')?.size, 40 * 1024 * 1024 + 1);
    assert.equal(byName.get('./to-file')?.linkname, join(folder, 'etc/postgresql.conf'));
    for (const empty of ['log', 'pg_tblspc', 'pg_replslot', 'pg_notify', 'pg_stat_tmp', 'pg_dynshmem']) {
      const below = names.filter((name) => name.startsWith(`${empty}/`) && !(major >= 15 && empty === 'pg_tblspc'));
      if (major >= 15 && empty === 'pg_tblspc') assert.ok(byName.has('pg_tblspc/'));
      else assert.deepEqual(below, [`${empty}/`]);
    }
    const absent = /^(\.\/)?(pg_wal|inside|tablespace_map|backup_manifest|postmaster)|pgsql_tmp|pg_internal\.init/;
    assert.deepEqual(
      names.filter((name) => absent.test(name)),
      [],
    );
    assert.equal(byName.has(pathOf.get('fleeting') ?? ''), false, 'no temporary relation');
    if (major >= 15) assert.ok(byName.has(pathOf.get('t_here') ?? 'none'), 'in place');

    for (const name of ['far', 'inside']) {
      const oid = oidOf.get(name) ?? '';
      const members = (await house.membersOf(taken, `${oid}.tar.gz`)).map((header) => header.name);
      assert.ok(
        members.every((member) => member.startsWith(`PG_${major}_`)),
        members.join(', '),
      );
      assert.ok(members.includes((pathOf.get(`t_${name}`) ?? '').replace(`pg_tblspc/${oid}/`, '')));
      assert.equal(
        names.some((member) => member.startsWith(`pg_tblspc/${oid}`)),
        false,
      );
    }
    assert.deepEqual(
      taken.info.tablespaces?.map(({ name }) => name),
      ['far', 'inside'],
    );
    assert.match(taken.tablespaceMap, new RegExp(`^${oidOf.get('far')} ${far}$`, 'm'));
    assert.deepEqual(await callsOf(house.logFile), [
      ...(major >= 15
        ? ['pg_backup_start($1, $2)', 'pg_backup_stop(false)']
        : ['pg_start_backup($1, $2, false)', 'pg_stop_backup(false, false)']),
      'pg_switch_wal()',
      'pg_create_restore_point($1)',
    ]);
  });

  test(`PostgreSQL ${major}: a standby waits for its primary to archive, says so, and switches nothing itself`, async (t) => {
    const house = await buildHouse(t, major);
    const { folder, programs, account } = house;
    await house.server.query('CREATE TABLE rows AS SELECT generate_series(1, 1000) AS g');
    await house.server.stop();
    const standbyData = join(folder, 'standby');
    await cp(house.pgdata, standbyData, { recursive: true, verbatimSymlinks: true });
    await rm(join(standbyData, 'pg_wal'));
    await cp(join(folder, 'walvolume'), join(standbyData, 'pg_wal'), { recursive: true });
    await writeFile(join(standbyData, 'standby.signal'), '');
    await account.own(standbyData);
    await chmod(standbyData, 0o700);
    const primary = await house.start();
    const logFile = join(folder, 'standby.log');
    const standby = await startPostgres({
      ...{ programs, account, pgdata: standbyData, socketFolder: join(folder, 'run2'), logFile },
      settings: {
        ...house.settings,
        primary_conninfo: `host=${primary.socketFolder} user=postgres`,
        hot_standby: 'on',
      },
    });
    t.after(() => standby.stop('immediate'));
    await primary.query('INSERT INTO rows SELECT generate_series(1, 1000)');
    let looks = 0;
    house.beforeLook = async () => {
      looks++;
      // Until then nothing makes the primary archive what the backup needs.
      if (looks === 2) await primary.query('SELECT pg_switch_wal()');
    };
    const primaryIsAlive = setInterval(() => void primary.query('CHECKPOINT').catch(() => undefined), 500);
    t.after(() => clearInterval(primaryIsAlive));
    const lines: string[] = [];
    const taken = await house.take({ server: standby, pgdata: standbyData, lines });
    assert.equal(taken.info.status, 'DONE');
    assert.ok(looks >= 2, `${looks} looks`);
    assert.match(lines.join(''), /waiting until the primary has archived the WAL/);
    assert.ok(!(await house.membersOf(taken, 'data.tar.gz')).some(({ name }) => name.includes('standby.signal')));
    const calls = await callsOf(logFile);
    assert.equal(calls.length, 2, calls.join(', '));
  });
}

type Where = { server: Postgres; pgdata: string; lines: string[] };

/** A server whose WAL is on a volume of its own and whose configuration lies outside its data folder. */
async function buildHouse(t: TestContext, major: number) {
  const folder = await makeShortFolder('cellar-lay-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  const programs = await findPostgres(account, folder, major);
  const pgdata = join(folder, 'data', 'pgdata');
  const logFile = join(folder, 'postgres.log');
  const [archive, etc] = [join(folder, 'archive'), join(folder, 'etc')];
  for (const path of [archive, etc]) await mkdir(path);
  await account.own(folder);
  await initDatabase({ programs, account, pgdata, logFile: join(folder, 'initdb.log') });
  await rename(join(pgdata, 'pg_wal'), join(folder, 'walvolume'));
  await symlink(join(folder, 'walvolume'), join(pgdata, 'pg_wal'));
  for (const name of ['postgresql.conf', 'pg_hba.conf']) await rename(join(pgdata, name), join(etc, name));
  await writeFile(join(etc, 'included.conf'), "work_mem = '5MB'\n");
  await appendFile(join(etc, 'postgresql.conf'), "include 'included.conf'\n");
  await account.own(folder);
  const settings = {
    config_file: join(etc, 'postgresql.conf'),
    hba_file: join(etc, 'pg_hba.conf'),
    fsync: 'off',
    archive_mode: 'on',
    archive_command: `cp %p ${archive}/.%f && mv ${archive}/.%f ${archive}/%f`,
    log_statement: 'all',
    log_line_prefix: '%a|',
  };
  const start = async (): Promise<Postgres> => {
    const started = await startPostgres({
      programs,
      account,
      pgdata,
      socketFolder: join(folder, 'run'),
      logFile,
      settings,
    });
    t.after(() => started.stop('immediate'));
    return started;
  };
  const server = await start();
  const storage = new FakeStorage();
  const house = {
    ...{ folder, account, programs, pgdata, logFile, settings, server, start },
    /** Before each look for the WAL. */
    beforeLook: async (): Promise<void> => undefined,
    async take(where: Partial<Where> = {}): Promise<TakenBackup> {
      const { socketFolder: host, port } = where.server ?? server;
      const taker = createBackupTaker({
        archives: fakeArchives({ minio: storage }, { data: { compression: 'gzip', immediateCheckpoint: true } }),
        postgres: { host, port, user: 'postgres', database: 'postgres' },
        pgdata: where.pgdata ?? pgdata,
        instanceName: 'pg-1',
        pluginVersion: '0.1.0',
        log: createLog({ level: 'info', destination: { write: (line) => void where.lines?.push(line) } }),
      });
      const backup: Backup = { metadata: { name: 'b' }, spec: { cluster: { name: 'pg' } } };
      const cluster: Cluster = {
        metadata: { name: 'pg', uid: 'uid-1' },
        spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio' } }] },
      };
      return taker.take({ cluster, backup, parameters: {}, signal: AbortSignal.timeout(120_000) });
    },
    async membersOf(taken: TakenBackup, object: string): Promise<Header[]> {
      const stored = storage.objects.get(`backups/pg/base/${taken.id}/${object}`);
      assert.ok(stored, `${object} is stored`);
      const headers: Header[] = [];
      for await (const entry of Readable.from([stored.bytes]).pipe(codecByName('gzip').decoder()).pipe(extract())) {
        headers.push(entry.header);
        entry.resume();
      }
      return headers;
    },
  };
  storage.before = async (verb, key) => {
    if (verb !== 'list' || !key.includes('/wals/')) return;
    await house.beforeLook();
    for (const name of await readdir(archive)) {
      if (!/^[0-9A-F]{24}$/.test(name)) continue;
      storage.plant(`backups/pg/wals/${name.slice(0, 16)}/${name}`, await readFile(join(archive, name)));
    }
  };
  return house;
}

/** The functions of a backup that were called, from the server's log. */
async function callsOf(logFile: string): Promise<string[]> {
  const call = /pg_(?:(?:start|stop)_backup|backup_(?:start|stop)|switch_wal|create_restore_point)\([^()]*\)/;
  const statements = (await readFile(logFile, 'utf8')).split(/^(?=[^|\n]*\|LOG: )/m);
  return statements
    .filter((statement) => /^barman_cloud_backup\|LOG: +(execute|statement)/.test(statement))
    .flatMap((statement) => call.exec(statement)?.[0] ?? []);
}
