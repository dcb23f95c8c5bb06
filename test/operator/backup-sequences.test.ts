// Backup and restore as the operator drives them: our operator process answers the hooks, the Pod that it injected runs with
// PostgreSQL and our sidecar, and every backup object reaches the plugin on the way of cnpg-i-contract.md §10.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PLUGIN_NAME } from '../../api/names.ts';
import { untilPromoted } from '../journeys/conditions.ts';
import { startIdleInstance } from '../journeys/idle-instance.ts';
import { startRecoveryJob } from '../journeys/recovery-job.ts';
import { takeBackup } from '../manager/backup.ts';
import { instancePod } from '../operator-objects.ts';
import { type Stand, type StandInstance, startStand } from '../stand.ts';
import { type BackupTurn, backupOfSchedule, kubectlBackup, reconcileBackup } from './backups.ts';
import { discover } from './discovery.ts';
import { createPool, type Pool } from './pool.ts';
import { OPERATOR_NAMESPACE, type OperatorProcess, startOperatorProcess } from './process.ts';
import { reconcileCluster } from './reconcile.ts';

const ROWS = 100;
const AT = new Date('2026-11-25T08:00:00Z');

let stand: Stand;
let instance: StandInstance;
let operator: OperatorProcess;
let plugins: Map<string, Pool>;

before(async () => {
  stand = await startStand();
  operator = await startOperatorProcess({ kubeApi: stand.kubeApi });
  const found = discover(operator.deployed, OPERATOR_NAMESPACE);
  plugins = new Map([...found.plugins].map(([name, plugin]) => [name, createPool(plugin, () => operator.address)]));
  instance = await startIdleInstance(stand, ROWS);
});
after(async () => {
  for (const pool of plugins?.values() ?? []) pool.close();
  await operator?.stop();
  await stand?.cleanup.run();
});

test('bootstrap: the Pod that runs here is the one that the operator would make with our answers', async () => {
  const world = { pods: new Map(), jobs: new Map() };
  const pod = instancePod(instance.cluster, { serial: 1, major: stand.programs.major });
  const turn = await reconcileCluster(plugins, instance.cluster, { pods: [pod] }, world);
  assert.equal(turn.phase, 'healthy', turn.reason);
  assert.deepEqual(world.pods.get('pg-main-1')?.spec, instance.pod.spec);
  await instance.startSidecar();
});

test('the object that kubectl makes becomes a completed Backup, as does that of a schedule, and a restore brings all rows', async () => {
  const { cluster } = instance;
  const byHand = await backUp(kubectlBackup(cluster, { at: AT, pluginName: PLUGIN_NAME }));
  assert.equal(byHand.outcome, 'completed', JSON.stringify(byHand));
  assert.match(('status' in byHand && byHand.status.backupId) || '', /^\d{8}T\d{6}$/);
  const metadata = 'status' in byHand ? (byHand.status.pluginMetadata ?? {}) : {};
  assert.equal(metadata.clusterUID, cluster.metadata.uid);
  assert.equal(metadata.pluginName, PLUGIN_NAME);

  const schedule = {
    metadata: { name: 'nightly', namespace: 'default' },
    spec: {
      schedule: '0 0 2 * * *',
      cluster: { name: cluster.metadata.name },
      method: 'plugin' as const,
      pluginConfiguration: { name: PLUGIN_NAME },
    },
  };
  assert.equal((await backUp(backupOfSchedule(schedule, AT))).outcome, 'completed');

  const job = await startRecoveryJob(stand);
  await job.restore();
  const restored = await job.start();
  await untilPromoted(restored);
  const rows = await restored.query('select count(*)::int as rows from orders');
  assert.deepEqual(rows, [{ rows: ROWS }]);
  await restored.stop('fast');
});

test('a Backup that fails is failed with the words of the plugin', async () => {
  await instance.postgres.stop('immediate');
  const turn = await backUp(
    kubectlBackup(instance.cluster, { at: new Date(AT.getTime() + 1000), pluginName: PLUGIN_NAME }),
  );
  assert.equal(turn.outcome, 'failed');
  assert.match(
    ('status' in turn && turn.status.error) || '',
    /^cnpgi\.backup\.v1\.Backup\/Backup: [A-Z_]+: .*PostgreSQL/,
  );
});

function backUp(backup: Parameters<typeof reconcileBackup>[1]): Promise<BackupTurn> {
  const { cluster, pod, pluginsFolder } = instance;
  return reconcileBackup(plugins, backup, {
    ...{ cluster, others: [], pods: [{ name: pod.name, isPrimary: true, isReady: true }] },
    exec: (name, document) => {
      assert.equal(name, pod.name);
      return takeBackup(pluginsFolder, cluster, document);
    },
  });
}
