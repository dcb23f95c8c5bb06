// The life of a Cluster in a box: the chart's operator process patches what CloudNativePG creates, and PostgreSQL runs in
// Pods with our sidecar, is archived, backed up, rolled out, lost and recovered.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import type { Cluster, Container, Pod, PodSpec } from '../../api/kube.ts';
import { PLUGIN_NAME, PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../../api/names.ts';
import { takeBackup } from '../manager/backup.ts';
import { drift } from '../operator/drift.ts';
import { instancePod, jobOf } from '../operator-objects.ts';
import { installedMajors } from '../postgres.ts';
import { s3 } from './box/addresses.ts';
import { useBox } from './box/box.ts';
import { CHART, cellarImage, HOME, helm } from './chart.ts';
import { until } from './child.ts';
import { clusterCrds } from './cnpg-crds.ts';
import { accountOf, claimOf, cnpgImages, patched } from './cnpg-in-box.ts';
import { clusterOf, SHOP, secretOf, storeOf } from './documents.ts';

const [POD_SPEC, STORE] = ['cnpg.io/podSpec', 'orders-s3'];
const JOB_LIMIT_MS = 180_000;
const first = { serial: 1, major: installedMajors().at(-1) ?? 0 };

const box = await useBox((folder) => [cellarImage(folder), ...cnpgImages(folder)]);
const { kubectl } = box;
await kubectl.apply(...clusterCrds());
for (const name of [HOME, SHOP]) await kubectl.does(['create', 'namespace', name]);
await helm(box, 'install', 'cellar', CHART, '-n', HOME, '--set', 'image.tag=test', '--wait', '--timeout=120s');
const store = storeOf(STORE, 'keys', { endpointURL: s3.endpoint });
await kubectl.apply(secretOf('keys', { id: s3.accessKey, key: s3.secretKey }), store);

test('a new instance archives its segments and takes a backup through its sidecar', async () => {
  const orders = await createCluster(clusterOf('orders', STORE));
  await runJob(orders, 'initdb');
  await createInstance(orders);
  await query('orders-1', 'CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id');
  await archiveSegment('orders-1');

  const backup = { metadata: { name: 'nightly', namespace: SHOP }, spec: { cluster: { name: 'orders' } } };
  const result = await takeBackup(await folderOf('orders-1', PLUGINS_MOUNT), await readCluster('orders'), backup);
  assert.equal(result.online, true);
  await until('the recovery window', async () => {
    const { status } = await kubectl.get('objectstore', SHOP, STORE);
    return status?.serverRecoveryWindow?.orders?.firstRecoverabilityPoint !== undefined;
  });
  await query('orders-1', 'INSERT INTO orders SELECT generate_series(1001, 1500)');
  await archiveSegment('orders-1');
});

test('changed settings of the sidecar roll the instance out, with its data', async () => {
  const orders = await readCluster('orders');
  const before = storedSpec(await kubectl.get('pod', SHOP, 'orders-1'));
  assert.deepEqual(drift(before, storedSpec(await patched(box, orders, instancePod(orders, first)))), []);

  const env = [{ name: 'ROLLED', value: 'out' }];
  await kubectl.apply({ ...store, spec: { ...store.spec, instanceSidecarConfiguration: { env } } });
  const wanted = await until('another Pod', async () => {
    const spec = storedSpec(await patched(box, orders, instancePod(orders, first)));
    return drift(before, spec).length > 0 && spec;
  });
  assert.deepEqual(drift(before, wanted), [`init container ${SIDECAR_CONTAINER}: env`]);
  await kubectl.does(['delete', 'pod', 'orders-1', '-n', SHOP]);
  await createInstance(orders);
  const [sidecar] = sidecarsOf((await kubectl.get('pod', SHOP, 'orders-1')).spec);
  assert.deepEqual(sidecar?.env?.at(-1), env[0]);
  assert.deepEqual(await query('orders-1', 'SELECT count(*)::int AS rows FROM orders'), [{ rows: 1500 }]);
  await query('orders-1', 'INSERT INTO orders SELECT generate_series(1501, 2000)');
  await archiveSegment('orders-1');
});

test('a lost instance comes back from the store in a recovery Job, and its Cluster archives anew', async () => {
  await kubectl.does(['delete', 'pod', 'orders-1', '-n', SHOP]);
  await kubectl.does(['delete', 'pvc', 'orders-1', '-n', SHOP]);
  const parameters = { barmanObjectName: STORE, serverName: 'orders' };
  const recovered = await createCluster(
    clusterOf('again', STORE, {
      bootstrap: { recovery: { source: 'origin' } },
      externalClusters: [{ name: 'origin', plugin: { name: PLUGIN_NAME, parameters } }],
    }),
  );
  await runJob(recovered, 'full-recovery');
  await createInstance(recovered);
  assert.deepEqual(await query('again-1', 'SELECT count(*)::int AS rows, max(id) FROM orders'), [
    { rows: 2000, max: 2000 },
  ]);
  await archiveSegment('again-1');
  assert.ok(existsSync(join(box.folder, 's3', s3.bucket, 'again/wals')), 'under its own name');
});

/** Applies a Cluster with its account and the claim of its first instance. */
async function createCluster(cluster: Cluster): Promise<Cluster> {
  await kubectl.apply(...accountOf(cluster), cluster, claimOf(SHOP, `${cluster.metadata.name}-1`));
  return readCluster(cluster.metadata.name);
}

const readCluster = (name: string): Promise<Cluster> => kubectl.get('cluster', SHOP, name);

/** Creates a Job of the first instance as the plugin wants it, and waits for its success. */
async function runJob(cluster: Cluster, role: 'initdb' | 'full-recovery'): Promise<void> {
  const job = await patched(box, cluster, jobOf(cluster, role, first));
  assert.equal(sidecarsOf(job.spec.template.spec).length, role === 'full-recovery' ? 1 : 0);
  await kubectl.apply(job);
  const name = job.metadata?.name ?? '';
  const succeeded = async () => (await kubectl.get('job', SHOP, name)).status?.succeeded === 1;
  await until(`the Job ${name}`, succeeded, { limitMs: JOB_LIMIT_MS });
}

/** Creates the first instance's Pod, now the primary, as the plugin wants it; waits until PostgreSQL takes connections. */
async function createInstance({ metadata }: Cluster): Promise<void> {
  const instance = `${metadata.name}-1`;
  const status = JSON.stringify({ status: { currentPrimary: instance, targetPrimary: instance } });
  const target = ['cluster', metadata.name, '-n', SHOP, '--subresource=status', '--type=merge'];
  await kubectl.does(['patch', ...target, '-p', status]);
  const cluster = await readCluster(metadata.name);
  const pod = await patched(box, cluster, instancePod(cluster, first));
  await kubectl.apply(pod);
  const name = pod.metadata?.name ?? '';
  await until(`PostgreSQL of ${name}`, () => query(name, 'SELECT 1'));
  assert.equal(sidecarsOf((await kubectl.get('pod', SHOP, name)).spec).length, 1);
}

/** Ends the current segment and waits until PostgreSQL has handed it over. */
async function archiveSegment(pod: string): Promise<void> {
  const [row] = await query(pod, 'SELECT pg_walfile_name(pg_switch_wal()) AS segment');
  await until(`${row?.segment} in the archive`, async () => {
    const sql = `SELECT last_archived_wal >= '${row?.segment}' AS done FROM pg_stat_archiver`;
    return (await query(pod, sql))[0]?.done === true;
  });
}

async function query(pod: string, sql: string): Promise<Record<string, unknown>[]> {
  const host = join(await folderOf(pod, '/controller'), 'run');
  const client = new pg.Client({ host, user: 'postgres', database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Where this machine has what PostgreSQL's container mounts at a path. */
async function folderOf(name: string, path: string): Promise<string> {
  const { metadata, spec } = (await kubectl.get('pod', SHOP, name)) as Pod;
  const mount = spec.containers[0]?.volumeMounts?.find(({ mountPath }) => mountPath === path);
  return box.volume(metadata?.uid ?? '', mount?.name ?? '');
}

function sidecarsOf({ initContainers = [] }: PodSpec): Container[] {
  return initContainers.filter(({ name }) => name === SIDECAR_CONTAINER);
}

/** What the operator wrote down when it made a Pod. */
function storedSpec(pod: Pod): PodSpec {
  return JSON.parse(pod.metadata?.annotations?.[POD_SPEC] ?? '');
}
