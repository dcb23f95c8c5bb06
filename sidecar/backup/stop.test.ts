// SIGTERM to a sidecar that takes a backup, as a process of its own.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { takeBackup } from '../../test/manager/backup.ts';
import { startS3 } from '../../test/servers/s3rver.ts';
import { BUCKET, startInstance, startStand } from '../../test/stand.ts';
import { parseBackupInfo } from './info.ts';

test('SIGTERM ends a backup at once, FAILED is recorded, and PostgreSQL is told', async (t) => {
  const s3 = await startS3();
  const stand = await startStand({ startStore: async () => s3 });
  t.after(() => stand.cleanup.run());
  await stand.configure({ data: { immediateCheckpoint: true, additionalCommandArgs: ['--max-bandwidth=100KB'] } });
  const instance = await startInstance(stand);
  const sidecar = await instance.startSidecar();
  const backup = takeBackup(instance.pluginsFolder, instance.cluster, {
    metadata: { name: 'b', namespace: 'default' },
    spec: { cluster: { name: instance.cluster.metadata.name } },
  });
  const failure = assert.rejects(backup, /the backup was cancelled: the sidecar is stopping/);
  while (!(await readFile(sidecar.logFile, 'utf8')).includes('backup has begun')) await delay(50);

  const { code } = await sidecar.stop('SIGTERM');
  await failure;
  assert.equal(code, 0);
  assert.doesNotMatch(await readFile(sidecar.logFile, 'utf8'), /after the grace period/);
  const stored = await readdir(join(s3.directory, BUCKET), { recursive: true });
  const objects = stored.filter((path) => path.includes('/base/') && path.endsWith('._S3rver_object'));
  const names = objects.map((path) =>
    path.split('/base/')[1]?.replace('._S3rver_object', '').split('/').slice(1).join('/'),
  );
  assert.deepEqual(names.sort(), ['annotations/cellar.json', 'backup.info']);
  const path = objects.find((object) => object.includes('backup.info')) ?? '';
  const info = parseBackupInfo(await readFile(join(s3.directory, BUCKET, path), 'utf8'));
  assert.equal(info.status, 'FAILED');
  assert.equal(info.error, 'failure uploading data (the backup was cancelled: the sidecar is stopping)');
  const sessions = "SELECT count(*)::int AS open FROM pg_stat_activity WHERE application_name = 'barman_cloud_backup'";
  for (let open = 1; open > 0; ) open = (await instance.postgres.query<{ open: number }>(sessions))[0]?.open ?? 0;
});
