// What we wrote is read by the barman tools: listed, restored, its WAL replayed by a server of its own.
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Backup } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { archiveEverything, createOrders, fingerprint, insertOrders } from '../demo/workload.ts';
import { takeBackup } from '../manager/backup.ts';
import { fixedSettings, write, writeConfiguration } from '../manager/configuration.ts';
import { startPostgres } from '../postgres.ts';
import { tailOf } from '../process.ts';
import { BUCKET, type Stand, startInstance, startStand } from '../stand.ts';
import { barman } from './barman.ts';

const LIMIT_MS = 120_000;
const SERVER = 'pg-main';

for (const compression of ['gzip', undefined] as const) {
  test(`barman lists, restores and replays what was written with ${compression ?? 'no'} compression`, async () => {
    const stand = await startStand();
    try {
      const setting = compression === undefined ? {} : { compression };
      await stand.configure({ wal: setting, data: { ...setting, immediateCheckpoint: true } });
      await roundTrip(stand, `s3://${BUCKET}/`);
    } finally {
      await stand.cleanup.run();
    }
  });
}

async function roundTrip(stand: Stand, url: string): Promise<void> {
  const instance = await startInstance(stand);
  const sidecar = await instance.startSidecar();
  const client = await instance.postgres.connect();
  await createOrders(client);
  await insertOrders(client, 2000);
  const taken = await takeBackup(instance.pluginsFolder, instance.cluster, backup()).catch((cause: unknown) => {
    throw new Error(`the backup failed; the sidecar's log ends with\n${tailOf(sidecar.logFile, 40)}`, { cause });
  });
  await insertOrders(client, 3000);
  const before = await fingerprint(instance.postgres);
  const last = await archiveEverything(
    client,
    LIMIT_MS,
    () => {},
    async () => 'see the sidecar log',
  );
  await client.end();

  const list = JSON.parse((await barman(stand.s3, 'backup-list', ['--format', 'json', url, SERVER])).stdout);
  const listed = list.backups_list.map(({ backup_id, status }: { backup_id: string; status: string }) => [
    backup_id,
    status,
  ]);
  assert.deepEqual(listed, [[taken.backupId, 'DONE']]);

  const segment = join(stand.folder, last);
  await barman(stand.s3, 'wal-restore', [url, SERVER, last, segment]);
  assert.deepEqual(await readFile(segment), await readFile(join(instance.pgdata, 'pg_wal', last)));
  await instance.postgres.stop('immediate');

  const pgdata = join(stand.folder, 'restored');
  await barman(stand.s3, 'restore', [url, SERVER, taken.backupId, pgdata]);
  await stand.account.own(pgdata);
  const fetched = await fetchWal(stand, url, taken.beginWal);
  await writeConfiguration(pgdata, stand.account, {
    ...fixedSettings('false'),
    restore_command: `cp ${fetched}/%f %p`,
  });
  await write(pgdata, stand.account, 'recovery.signal', '');
  await rm(join(pgdata, 'postgresql.auto.conf'), { force: true });
  const restored = await startPostgres({
    programs: stand.programs,
    account: stand.account,
    pgdata,
    socketFolder: join(stand.folder, 'restored-run'),
    logFile: join(stand.folder, 'logs', 'restored.log'),
  });
  stand.cleanup.add(() => restored.stop('immediate'));
  await promoted(restored);
  assert.deepEqual(await fingerprint(restored), before);
  await restored.stop('immediate');
}

/** Every segment from the first needed one on, by barman, into a folder: the server's own user may not run the tools. */
async function fetchWal(stand: Stand, url: string, begin: string): Promise<string> {
  const folder = join(stand.folder, 'fetched');
  await mkdir(folder);
  const objects = await readdir(join(stand.s3.directory, BUCKET, SERVER, 'wals', begin.slice(0, 16)));
  const names = new Set(objects.map((object) => object.slice(0, 24)).filter((name) => name >= begin));
  for (const name of names) await barman(stand.s3, 'wal-restore', [url, SERVER, name, join(folder, name)]);
  await stand.account.own(folder);
  return folder;
}

async function promoted(postgres: Awaited<ReturnType<typeof startPostgres>>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const [row] = await postgres.query<{ recovering: boolean }>('select pg_is_in_recovery() as recovering');
    if (row?.recovering === false) return;
    assert.ok(performance.now() < deadline, 'the restored server is still in recovery');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function backup(): Backup {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Backup',
    metadata: { name: 'for-barman', namespace: 'default' },
    spec: { cluster: { name: SERVER }, method: 'plugin', pluginConfiguration: { name: PLUGIN_NAME } },
  };
}
