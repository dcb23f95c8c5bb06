// The servers that tests and demo share.
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { findPostgres, initDatabase, installedMajors, startPostgres } from './postgres.ts';
import { makeShortFolder, unprivilegedAccount } from './unprivileged.ts';

test('a server of the newest major starts, answers on its socket only, and stops', async (t) => {
  const folder = await makeShortFolder('cellar-pg-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  await mkdir(join(folder, 'log'));
  await account.own(folder);
  const programs = await findPostgres(account, folder);
  assert.equal(programs.major, installedMajors().at(-1));

  const pgdata = join(folder, 'pgdata');
  const logFile = join(folder, 'log', 'postgres.log');
  await initDatabase({ programs, account, pgdata, logFile });
  const server = await startPostgres({ programs, account, pgdata, socketFolder: join(folder, 'run'), logFile });
  t.after(() => server.stop('immediate'));

  const [row] = await server.query<{ version: string; checksums: string; tcp: string }>(
    `select current_setting('server_version') as version, current_setting('data_checksums') as checksums,
            current_setting('listen_addresses') as tcp`,
  );
  assert.match(row?.version ?? '', new RegExp(`^${programs.major}\\.`));
  assert.equal(row?.checksums, 'on');
  assert.equal(row?.tcp, '');
  assert.ok((server.process.peakMemoryBytes() ?? 0) > 1 << 20, 'peak memory is read from /proc');

  await server.stop();
  assert.deepEqual(server.process.result(), { code: 0, signal: null });
});

test('a server that cannot start says why, from its log', async (t) => {
  const folder = await makeShortFolder('cellar-pg-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  await account.own(folder);
  const programs = await findPostgres(account, folder);
  const logFile = join(folder, 'postgres.log');
  const pgdata = join(folder, 'pgdata');
  await mkdir(pgdata);
  await account.own(pgdata);
  const starting = startPostgres({ programs, account, pgdata, socketFolder: join(folder, 'run'), logFile });
  await assert.rejects(starting, /PostgreSQL ended with [12]:\n.*postgresql\.conf/s);
});

test('a major that is not installed is refused with the ones that are', async () => {
  const account = unprivilegedAccount();
  await assert.rejects(findPostgres(account, '/tmp', 9), /no PostgreSQL 9 from npm here \(installed: .*\d+\)/);
});
