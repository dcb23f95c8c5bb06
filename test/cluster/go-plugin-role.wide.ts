// A journey with exactly the ClusterRole of the Go plugin's manifest: what more would need is off with one line, and the rest
// works.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instancePod, recoveryJob } from '../operator-objects.ts';
import { useApiServer } from './api-server.ts';
import { until } from './child.ts';
import { clusterOf, SHOP, secretOf, storeOf } from './documents.ts';
import { GO_PLUGIN_RULES, operatorRoles } from './operator-roles.ts';
import { makeDoorTls, SIDECAR_IMAGE, startReplica } from './replica.ts';

const HOME = 'cnpg-system';
const ACCOUNT = 'plugin-barman-cloud';

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(HOME, ACCOUNT);
await api.makeNamespace(SHOP, 'orders');
await kubectl.apply(...operatorRoles(HOME, ACCOUNT, GO_PLUGIN_RULES), secretOf('keys'), storeOf('orders-s3', 'keys'));
await kubectl.apply(clusterOf('orders', 'orders-s3'));
const tls = await makeDoorTls(api.folder);
const replica = await startReplica(api, { name: 'only', mount: await api.mountAccount(HOME, ACCOUNT), tls });
const orders = await kubectl.get('cluster', SHOP, 'orders');

test('Clusters may not be listed: one line says so, and the process goes on', async () => {
  const forbidden = replica
    .lines()
    .filter((line) => JSON.stringify(line).includes('clusters') && line.level !== 'debug');
  assert.equal(forbidden.length, 1, JSON.stringify(forbidden));
});

test('the hook makes Role and RoleBinding, owned by the Cluster', async () => {
  const operator = await replica.connect();
  await operator.reconcile(orders);
  operator.close();
  for (const kind of ['role', 'rolebinding']) {
    const { metadata } = await kubectl.get(kind, SHOP, 'orders-barman-cloud');
    assert.equal(metadata.ownerReferences[0].blockOwnerDeletion, true);
  }
});

test('Pods and Jobs get their sidecar', async () => {
  const operator = await replica.connect();
  const { pod } = await operator.createPod(orders, instancePod(orders, { serial: 1, major: 18 }));
  assert.equal(pod.spec.initContainers?.at(-1)?.image, SIDECAR_IMAGE);
  const recovering = await recoveringCluster();
  const { job } = await operator.createJob(recovering, recoveryJob(recovering, { major: 18 }));
  assert.deepEqual(job.spec.template.spec.initContainers?.at(-1)?.args?.[0], 'restore');
  operator.close();
});

test('the replica leads, and keeps the Role current', async () => {
  await replica.said('this replica leads');
  await kubectl.apply(secretOf('new-keys'), storeOf('orders-s3', 'new-keys'));
  const text = async (): Promise<string> => JSON.stringify(await kubectl.get('role', SHOP, 'orders-barman-cloud'));
  await until('the Role to follow', async () => (await text()).includes('new-keys'), { limitMs: 20_000 });
});

test('Events in the namespaces of Clusters are forbidden: a missing store is said by one line', async () => {
  await kubectl.apply(clusterOf('waiting', 'nowhere'));
  const operator = await replica.connect();
  const waiting = await kubectl.get('cluster', SHOP, 'waiting');
  for (let round = 0; round < 3; round += 1) await assert.rejects(operator.reconcile(waiting), /would wait/);
  operator.close();
  const said = await until('the line', () => {
    const lines = replica.lines().filter((line) => /event/i.test(line.msg ?? '') && line.level !== 'debug');
    return lines.length > 0 && lines;
  });
  assert.equal(said.length, 1, JSON.stringify(said));
});

async function recoveringCluster() {
  const plugin = { name: 'barman-cloud.cloudnative-pg.io', parameters: { barmanObjectName: 'orders-s3' } };
  await kubectl.apply(
    clusterOf('restored', 'orders-s3', {
      plugins: [],
      bootstrap: { recovery: { source: 'orders' } },
      externalClusters: [{ name: 'orders', plugin }],
    }),
  );
  return kubectl.get('cluster', SHOP, 'restored');
}
