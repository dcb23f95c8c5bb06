// A Cluster whose store is VersityGW: WAL archived, a backup taken, both restored.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askBackup } from '../journeys/ask-backup.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { startRecoveryJob } from '../journeys/recovery-job.ts';
import { startVersityGw, type TestVersityGw } from '../servers/versitygw.ts';
import { BUCKET, startStand } from '../stand.ts';
import { openStorage } from '../wal-place.ts';

const ROWS = 100_000;

test('a Cluster archives to, backs up to and is restored from VersityGW', async (t) => {
  const gateway = await startVersityGw();
  const stand = await startStand({ startStore: async () => gateway });
  t.after(() => stand.cleanup.run());
  // Nothing packed: the data tar goes in many parts.
  await stand.configure({ wal: { compression: 'zstd' }, data: { immediateCheckpoint: true } });

  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  const objects = await stored(t, gateway);
  const data = objects.find(({ key }) => key === `pg-main/base/${backupId}/data.tar`);
  assert.ok(data && data.sizeBytes > 16 * 1024 * 1024, 'the tar is larger than one part');
  assert.ok(objects.some(({ key }) => /^pg-main\/wals\/\w{16}\/\w{24}\.zst$/.test(key)));
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null });

  const job = await startRecoveryJob(stand);
  await job.restore();
  const restored = await job.start();
  assert.deepEqual(await restored.query('select count(*)::int as count from orders'), [{ count: ROWS }]);
});

async function stored(t: { after: (close: () => void) => void }, gateway: TestVersityGw) {
  const storage = openStorage(t, gateway, { bucket: BUCKET });
  const objects = [];
  for await (const info of storage.list('')) objects.push(info);
  return objects;
}
