// The barman tools and we on the same container of Azure's emulator: each reads what the other has written.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { createAzureStorage } from '../../sidecar/store/azure.ts';
import { barman } from '../interop/barman.ts';
import { askBackup } from '../journeys/ask-backup.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { startRecoveryJob } from '../journeys/recovery-job.ts';
import { startAzurite, type TestAzurite } from '../servers/azurite.ts';
import { startStand } from '../stand.ts';
import { walLike } from '../wal-like.ts';
import { walPlace } from '../wal-place.ts';
import { azureSettings } from './settings.ts';
import { useAzure } from './stand.ts';

const CONTAINER = 'container';
const ROWS = 20_000;
const PROVIDER = ['--cloud-provider', 'azure-blob-storage'];
const [OURS, THEIRS] = ['0000000100000004000000A7', '0000000100000004000000A8'];

let azurite: TestAzurite;

before(async () => {
  azurite = await startAzurite();
  await azurite.createContainer(CONTAINER);
  process.env.AZURE_STORAGE_CONNECTION_STRING = azurite.connectionString;
});
after(() => azurite.stop());

test('WAL goes both ways, packed and plain', async (t) => {
  const storage = createAzureStorage(azureSettings(azurite));
  t.after(() => storage.close());
  const files = { [OURS]: walLike(16 << 20, 1), [THEIRS]: walLike(16 << 20, 2) };
  const folder = await folderFor(t);
  for (const codec of ['gzip', 'zstd', undefined] as const) {
    const server = `wal-${codec ?? 'plain'}`;
    const place = await walPlace(t, storage, server, files, codec === undefined ? {} : { wal: { compression: codec } });
    await place.archive(OURS);
    const destination = join(folder, server);
    await tool('wal-restore', [url('backups'), server, OURS, destination]);
    assert.ok((await readFile(destination)).equals(files[OURS] ?? Buffer.alloc(0)), `ours, ${server}`);
    const packing = codec === undefined ? [] : [`--${codec}`];
    await tool('wal-archive', [...packing, url('backups'), server, place.pathOf(THEIRS)]);
    assert.ok((await place.restore(THEIRS)).equals(files[THEIRS] ?? Buffer.alloc(0)), `theirs, ${server}`);
  }
});

test('base backups go both ways', async (t) => {
  const stand = await startStand();
  t.after(() => stand.cleanup.run());
  await useAzure(stand, azurite, CONTAINER);
  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);

  const job = await startRecoveryJob(stand);
  await job.restore();
  const folder = join(await folderFor(t), 'pgdata');
  await tool('restore', [url(), 'pg-main', backupId, folder]);
  const [byUs, byBarman] = [await digestsOf(job.pgdata), await digestsOf(folder)];
  assert.ok(byBarman.size > 900, `${byBarman.size} files`);
  assert.deepEqual(byUs, byBarman);

  const { socketFolder, port } = instance.postgres;
  const database = ['--host', socketFolder, '--port', String(port), '--user', 'postgres', '--immediate-checkpoint'];
  await instance.postgres.query('delete from orders where ctid in (select ctid from orders limit 1)');
  await tool('backup', [...database, '--gzip', url(), 'pg-main']);
  await instance.postgres.query('select pg_switch_wal()');
  const { stdout } = await tool('backup-list', ['--format', 'json', url(), 'pg-main']);
  const ids: string[] = JSON.parse(stdout).backups_list.map((backup: { backup_id: string }) => backup.backup_id);
  const theirs = ids.find((id) => id !== backupId);
  assert.deepEqual([...ids].sort(), [backupId, theirs].sort());
  await instance.postgres.stop('fast');
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null });

  await rm(job.pgdata, { recursive: true, force: true });
  await job.restore({ backupID: theirs ?? '' });
  const restored = await job.start();
  assert.deepEqual(await restored.query('select count(*)::int as count from orders'), [{ count: ROWS - 1 }]);
});

function tool(name: string, args: string[]) {
  const store = { endpoint: azurite.endpoint, accessKeyId: 'unused', secretAccessKey: 'unused' };
  return barman(store, name, [...PROVIDER, ...args]);
}

function url(prefix = ''): string {
  return `${azurite.endpoint}/${CONTAINER}/${prefix}`;
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-azure-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Every file of a data folder but those that a restore adds and the WAL. */
async function digestsOf(folder: string): Promise<Map<string, string>> {
  const digests: [string, string][] = [];
  for await (const entry of glob('**/*', { cwd: folder, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (!entry.isFile() || /^(pg_wal\/|.*\.conf$|recovery\.signal$|postmaster|\.)/.test(name)) continue;
    digests.push([
      name,
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ]);
  }
  return new Map(digests.sort(([a], [b]) => (a < b ? -1 : 1)));
}
