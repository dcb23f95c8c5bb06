// What the operator and people see of a server's backups: the status of the ObjectStore and the gauges of the Go plugin,
// from the real sidecar, over the API server and the socket.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricsService } from '../../api/proto/gen/metrics.ts';
import { connectPlugin } from '../manager/plugin.ts';
import { STORE, type StandInstance, startStand } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { startIdleInstance } from './idle-instance.ts';

const PREFIX = 'barman_cloud_cloudnative_pg_io_';

test('a backup, and one that fails, are shown in the ObjectStore of their server and in the gauges at once', async () => {
  const stand = await startStand();
  try {
    const instance = await startIdleInstance(stand, 100);
    await instance.startSidecar();
    const taken = await askBackup(instance);
    const window = windowOf(stand.kubeApi.get('ObjectStore', STORE));
    assert.equal(window.firstRecoverabilityPoint, window.lastSuccessfulBackupTime);
    const end = Date.parse(window.lastSuccessfulBackupTime ?? '') / 1000;
    assert.ok(Math.abs(end - Number(taken.stoppedAt)) <= 1, `${end} ${taken.stoppedAt}`);
    assert.deepEqual(await gauges(instance), [end, end, 0]);

    await instance.postgres.stop('immediate');
    await assert.rejects(askBackup(instance, 'backup-of-nothing'));
    const after = windowOf(stand.kubeApi.get('ObjectStore', STORE));
    assert.equal(after.lastSuccessfulBackupTime, window.lastSuccessfulBackupTime);
    const failed = Date.parse(after.lastFailedBackupTime ?? '') / 1000;
    assert.ok(failed >= end);
    assert.deepEqual(await gauges(instance), [end, end, failed]);
  } finally {
    await stand.cleanup.run();
  }
});

function windowOf(store: { status?: unknown }): Record<string, string | undefined> {
  const status = store.status as { serverRecoveryWindow?: Record<string, Record<string, string>> } | undefined;
  const window = status?.serverRecoveryWindow?.['pg-main'];
  assert.ok(window, JSON.stringify(status));
  return window;
}

async function gauges({ pluginsFolder, cluster }: StandInstance): Promise<(number | undefined)[]> {
  const connection = await connectPlugin(pluginsFolder);
  try {
    const clusterDefinition = Buffer.from(JSON.stringify(cluster));
    const { metrics } = await connection.call(MetricsService.collect, { clusterDefinition });
    const names = ['first_recoverability_point', 'last_available_backup_timestamp', 'last_failed_backup_timestamp'];
    return names.map((name) => metrics.find(({ fqName }) => fqName === `${PREFIX}${name}`)?.value);
  } finally {
    connection.close();
  }
}
