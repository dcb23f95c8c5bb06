// The example of docs/stores/azure.md against Azure's emulator: WAL is archived, a backup is taken, and a new Cluster that
// has nothing but the container has every row.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useAzure } from '../azure/stand.ts';
import { startAzurite, type TestAzurite } from '../servers/azurite.ts';
import { startStand } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { startIdleInstance } from './idle-instance.ts';
import { startRecoveryJob } from './recovery-job.ts';

const ROWS = 20_000;
const CONTAINER = 'archive';

test('a Cluster archives to, backs up to and is restored from Azure as the page says', async (t) => {
  const azurite = await startAzurite();
  t.after(() => azurite.stop());
  await azurite.createContainer(CONTAINER);
  const stand = await startStand();
  t.after(() => stand.cleanup.run());
  await useAzure(stand, azurite, CONTAINER);

  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  const keys = await keysIn(azurite);
  assert.ok(keys.includes(`pg-main/base/${backupId}/data.tar.gz`));
  assert.ok(keys.some((key) => /^pg-main\/wals\/\w{16}\/\w{24}\.gz$/.test(key)));
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null });

  const job = await startRecoveryJob(stand);
  await job.restore();
  const restored = await job.start();
  assert.deepEqual(await restored.query('select count(*)::int as count from orders'), [{ count: ROWS }]);
});

async function keysIn(azurite: TestAzurite): Promise<string[]> {
  const keys: string[] = [];
  for await (const { name } of azurite.container(CONTAINER).listBlobsFlat()) keys.push(name);
  return keys;
}
