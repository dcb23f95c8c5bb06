// The operator's sequences against our operator process, a child called over mutual TLS 1.3 and found by its Service: what
// CloudNativePG would see, and do, from the first Cluster to the change from the Go plugin.
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Container, Pod, PodSpec } from '../../api/kube.ts';
import { PLUGIN_NAME, SIDECAR_CONTAINER } from '../../api/names.ts';
import { resourceOf } from '../kube/resources.ts';
import { type KubeApi, startKubeApi } from '../kube-api.ts';
import { instancePod, jobOf, recoveryJob } from '../operator-objects.ts';
import { discover } from './discovery.ts';
import { createPool, type Pool } from './pool.ts';
import { OPERATOR_NAMESPACE, type OperatorProcess, SIDECAR_IMAGE, startOperatorProcess } from './process.ts';
import { reconcileCluster, type Turn, type Wanted, type World } from './reconcile.ts';

let kube: KubeApi;
let operator: OperatorProcess;
let plugins: Map<string, Pool>;

before(async () => {
  kube = await startKubeApi({ namespace: 'shop' });
  for (const name of ['main', 'old', 'peer']) await kube.apply(storeDocument(name));
  operator = await startOperatorProcess({ kubeApi: kube });
  const found = discover(operator.deployed, OPERATOR_NAMESPACE);
  plugins = new Map([...found.plugins].map(([name, plugin]) => [name, createPool(plugin, () => operator.address)]));
});
after(async () => {
  for (const pool of plugins.values()) pool.close();
  await operator.stop();
  await kube.stop();
});

test('bootstrap: initdb is left alone, every instance gets its sidecar once, and a quiet turn rolls nothing', async () => {
  const cluster = makeCluster('bootstrap', { plugins: [stanza('main')] });
  const world = newWorld();
  const first = await turn(cluster, world, { jobs: [jobOf(cluster, 'initdb', { serial: 1, major: 18 })] });
  assert.equal(first.phase, 'healthy', first.reason);
  const { version, capabilities } = first.pluginStatus[0] ?? {};
  assert.match(version ?? '', /^\d+\.\d+\.\d+/);
  assert.ok(capabilities?.includes('TYPE_INSTANCE_SIDECAR_INJECTION'), 'the manager reads this from the Cluster');
  assert.equal(sidecarOf(world.jobs.get('bootstrap-1-initdb')?.spec.template.spec), undefined);
  assert.deepEqual(namesIn('bootstrap'), ['main']);

  const pods = [1, 2, 3].map((serial) => instancePod(cluster, { serial, major: 18 }));
  const join = jobOf(cluster, 'join', { serial: 2, major: 18 });
  await healthy(cluster, world, { pods: pods.slice(0, 1) });
  await healthy(cluster, world, { pods, jobs: [join] });
  assert.equal(sidecarOf(world.jobs.get('bootstrap-2-join')?.spec.template.spec), undefined);
  for (const [name, pod] of world.pods) {
    assert.equal(sidecarOf(pod.spec)?.image, SIDECAR_IMAGE, name);
    assert.equal(pod.metadata?.annotations?.['cnpg.io/podSpec'], JSON.stringify(pod.spec));
    assert.equal(pod.spec.initContainers?.[0]?.name, 'bootstrap-controller', 'which has to run first');
  }
  assert.deepEqual((await healthy(cluster, world, { pods })).rolled, []);
});

test('failover: the change of the primary rolls nothing, and a lost instance is made again as it was', async () => {
  const cluster = makeCluster('failover', { plugins: [stanza('main')] });
  const world = newWorld();
  const pods = [1, 2].map((serial) => instancePod(cluster, { serial, major: 18 }));
  await healthy({ ...cluster, status: primary('failover-1') }, world, { pods });
  const lost = world.pods.get('failover-1');
  world.pods.delete('failover-1');
  const promoted = { ...cluster, status: { ...primary('failover-2'), timelineID: 2 } };
  const { rolled } = await healthy(promoted, world, { pods });
  assert.deepEqual(rolled, []);
  assert.deepEqual(world.pods.get('failover-1')?.spec, lost?.spec);
});

test('restore: the recovery Job serves restores, its Pods archive, and the Role grants both stores', async () => {
  const cluster = makeCluster('restore', {
    plugins: [stanza('main')],
    bootstrap: { recovery: { source: 'origin' } },
    externalClusters: [{ name: 'origin', plugin: stanza('old', 'orders') }],
  });
  const world = newWorld();
  await healthy(cluster, world, { jobs: [recoveryJob(cluster, { major: 18 })] });
  const job = world.jobs.get('restore-1-full-recovery')?.spec.template.spec;
  assert.deepEqual(sidecarOf(job)?.args, ['restore']);
  assert.equal(sidecarOf(job)?.restartPolicy, 'Always', 'else the Job would never end');
  assert.deepEqual(namesIn('restore'), ['main', 'old']);
  await healthy(cluster, world, { pods: [instancePod(cluster, { serial: 1, major: 18 })] });
  assert.deepEqual(sidecarOf(world.pods.get('restore-1')?.spec)?.args?.[0], 'instance');
});

test('a restore without archiving: the Job is injected, the instances are not', async () => {
  const cluster = makeCluster('restored-only', {
    bootstrap: { recovery: { source: 'origin' } },
    externalClusters: [{ name: 'origin', plugin: stanza('old') }],
  });
  const world = newWorld();
  const pods = [instancePod(cluster, { serial: 1, major: 18 })];
  await healthy(cluster, world, { jobs: [recoveryJob(cluster, { major: 18 })], pods });
  assert.ok(sidecarOf(world.jobs.get('restored-only-1-full-recovery')?.spec.template.spec));
  assert.equal(sidecarOf(world.pods.get('restored-only-1')?.spec), undefined);
});

test('replica cluster: its instances are injected for the source alone, and stay as they are through promotion and demotion', async () => {
  const spec: Cluster['spec'] = {
    replica: { self: 'replica', primary: 'peer', source: 'peer' },
    externalClusters: [{ name: 'peer', plugin: stanza('peer') }],
  };
  const cluster = makeCluster('replica', spec);
  const world = newWorld();
  const pods = [1, 2].map((serial) => instancePod(cluster, { serial, major: 18 }));
  await healthy(cluster, world, { pods });
  assert.ok([...world.pods.values()].every((pod) => sidecarOf(pod.spec) !== undefined));
  assert.deepEqual(namesIn('replica'), ['peer']);

  const archiving = { ...cluster, spec: { ...spec, plugins: [stanza('main')] } };
  await healthy(archiving, world, { pods });
  const promoted = { ...archiving.spec, replica: { ...spec.replica, primary: 'replica', promotionToken: 'token' } };
  for (const next of [promoted, archiving.spec]) {
    assert.deepEqual((await healthy({ ...archiving, spec: next }, world, { pods })).rolled, []);
  }
  assert.deepEqual(namesIn('replica'), ['main', 'peer']);
});

test('upgrade from the Go plugin: its Role and its Pods are taken over, the Pods roll once and then never again', async () => {
  const cluster = makeCluster('upgrade', { plugins: [stanza('main')] });
  const { metadata } = cluster;
  const old = { name: 'upgrade-barman-cloud', namespace: 'shop' };
  // As plugins before 0.12 made them: no labels, and the rule that opens every Secret (#892).
  const rbac = { apiGroup: 'rbac.authorization.k8s.io' };
  await kube.apply({
    ...{ apiVersion: `${rbac.apiGroup}/v1`, kind: 'Role', metadata: { ...old, labels: { theirs: 'kept' } } },
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get', 'watch', 'list'], resourceNames: [] }],
  });
  await kube.apply({
    ...{ apiVersion: `${rbac.apiGroup}/v1`, kind: 'RoleBinding', metadata: old },
    roleRef: { ...rbac, kind: 'Role', name: old.name },
    subjects: [{ kind: 'ServiceAccount', name: metadata.name, namespace: 'shop' }],
  });
  const plain = instancePod(cluster, { serial: 1, major: 18 });
  const world = newWorld();
  world.pods.set('upgrade-1', withGoSidecar(plain));

  const { rolled } = await healthy(cluster, world, { pods: [plain] });
  assert.deepEqual(
    rolled.map(({ pod }) => pod),
    ['upgrade-1'],
  );
  assert.ok(rolled[0]?.why.includes(`init container ${SIDECAR_CONTAINER}: image`), rolled[0]?.why.join());
  assert.equal(
    world.pods.get('upgrade-1')?.spec.initContainers?.filter(({ name }) => name === SIDECAR_CONTAINER).length,
    1,
  );
  assert.deepEqual((await healthy(cluster, world, { pods: [plain] })).rolled, []);
  assert.deepEqual(namesIn('upgrade'), ['main']);
  const role = kube.get('Role', old.name);
  assert.equal(role.metadata.labels?.theirs, 'kept');
  assert.equal(role.metadata.labels?.['barmancloud.cnpg.io/cluster'], 'upgrade', 'by which the Role is kept current');
  assert.doesNotMatch(JSON.stringify(role.rules), /"secrets"/, 'the store names no Secret');
});

test('the plugin switched off: nobody calls it, and its sidecar is rolled away', async () => {
  const cluster = makeCluster('off', { plugins: [stanza('main')] });
  const world = newWorld();
  const pods = [instancePod(cluster, { serial: 1, major: 18 })];
  await healthy(cluster, world, { pods });
  const off = { ...cluster, spec: { plugins: [{ ...stanza('main'), enabled: false }] } };
  const { rolled } = await healthy(off, world, { pods });
  assert.ok(rolled[0]?.why.includes(`init container ${SIDECAR_CONTAINER} removed`));
  assert.equal(sidecarOf(world.pods.get('off-1')?.spec), undefined);
});

test('a plugin enabled without parameters is injected all the same: without a socket PostgreSQL would never start', async () => {
  const cluster = makeCluster('bare', { plugins: [{ name: PLUGIN_NAME }] });
  const world = newWorld();
  await healthy(cluster, world, { pods: [instancePod(cluster, { serial: 1, major: 18 })] });
  assert.ok(sidecarOf(world.pods.get('bare-1')?.spec));
});

test('a missing ObjectStore makes the Cluster wait with an Event that says why; once it is there the loop goes on', async () => {
  const cluster = makeCluster('early', { plugins: [stanza('late')] });
  const world = newWorld();
  const wanted = { pods: [instancePod(cluster, { serial: 1, major: 18 })] };
  assert.deepEqual([(await turn(cluster, world, wanted)).phase, world.pods.size], ['waiting', 0]);
  await eventually(() =>
    eventsOf('early').some((message) => /^ObjectStore late does not exist in namespace shop/.test(message)),
  );
  await kube.apply(storeDocument('late'));
  await healthy(cluster, world, wanted);
  assert.equal(eventsOf('early').length, 1);
});

test('changed sidecar settings roll a running Cluster at the next turn, and only then', async (t: TestContext) => {
  await kube.apply(storeDocument('tuned'));
  t.after(() => kube.remove('ObjectStore', 'tuned'));
  const cluster = makeCluster('tuned', { plugins: [stanza('tuned')] });
  const world = newWorld();
  const pods = [instancePod(cluster, { serial: 1, major: 18 })];
  await healthy(cluster, world, { pods });
  await kube.apply({
    ...storeDocument('tuned'),
    spec: { configuration: DESTINATION, instanceSidecarConfiguration: { logLevel: 'debug' } },
  });
  let rolled: Turn['rolled'] = [];
  await eventually(async () => {
    ({ rolled } = await healthy(cluster, world, { pods }));
    return rolled.length > 0;
  });
  assert.deepEqual(rolled[0]?.why, [`init container ${SIDECAR_CONTAINER}: env`], 'arguments alone would not roll it');
  assert.deepEqual((await healthy(cluster, world, { pods })).rolled, []);
});

const DESTINATION = { destinationPath: 's3://backups/' };

function storeDocument(name: string) {
  const spec = { configuration: DESTINATION };
  return { apiVersion: 'barmancloud.cnpg.io/v1', kind: 'ObjectStore', metadata: { name, namespace: 'shop' }, spec };
}

function makeCluster(name: string, spec: Cluster['spec']): Cluster {
  const metadata = { name, namespace: 'shop', uid: `u-${name}` };
  return { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', metadata, spec };
}

function stanza(barmanObjectName: string, serverName?: string) {
  const parameters = { barmanObjectName, ...(serverName === undefined ? {} : { serverName }) };
  return { name: PLUGIN_NAME, isWALArchiver: true, parameters };
}

function primary(pod: string) {
  return { currentPrimary: pod, targetPrimary: pod, timelineID: 1 };
}

function newWorld(): World {
  return { pods: new Map(), jobs: new Map() };
}

function turn(cluster: Cluster, world: World, wanted: Wanted): Promise<Turn> {
  return reconcileCluster(plugins, cluster, wanted, world);
}

async function healthy(cluster: Cluster, world: World, wanted: Wanted): Promise<Turn> {
  const done = await turn(cluster, world, wanted);
  assert.equal(done.phase, 'healthy', done.reason);
  return done;
}

function sidecarOf(spec: PodSpec | undefined): Container | undefined {
  return spec?.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
}

/** The stores that a Cluster's Role grants. */
function namesIn(cluster: string): string[] {
  const { rules } = kube.get('Role', `${cluster}-barman-cloud`) as unknown as {
    rules: { resources: string[]; resourceNames: string[] }[];
  };
  return rules.find(({ resources }) => resources.includes('objectstores'))?.resourceNames ?? [];
}

function eventsOf(cluster: string): string[] {
  const events = kube.objects.list(resourceOf('Event'), 'shop').items as {
    involvedObject?: { name?: string };
    message?: unknown;
  }[];
  return events.filter(({ involvedObject }) => involvedObject?.name === cluster).map(({ message }) => String(message));
}

/** What plugin 0.14 puts into an instance Pod, with the annotation that the operator wrote then. */
function withGoSidecar(plain: Pod): Pod {
  const [main] = plain.spec.containers;
  const mounts = [...(main?.volumeMounts ?? []), { name: 'plugins', mountPath: '/plugins' }];
  const sidecar: Container = {
    name: SIDECAR_CONTAINER,
    image: 'ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.14.0',
    args: ['instance'],
    env: [...(main?.env ?? []), { name: 'SPOOL_DIRECTORY', value: '/controller/wal-restore-spool' }],
    restartPolicy: 'Always',
    startupProbe: {
      exec: { command: ['/manager', 'healthcheck', 'unix'] },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: 30,
    },
    volumeMounts: mounts.filter(({ mountPath }) => mountPath !== '/run'),
  };
  const spec: PodSpec = {
    ...plain.spec,
    containers: [{ name: 'postgres', ...main, volumeMounts: mounts }],
    initContainers: [...(plain.spec.initContainers ?? []), sidecar],
    volumes: [...(plain.spec.volumes ?? []), { name: 'plugins', emptyDir: {} }],
  };
  const annotations = { ...plain.metadata?.annotations, 'cnpg.io/podSpec': JSON.stringify(spec) };
  return { ...plain, metadata: { ...plain.metadata, annotations }, spec };
}

/** Bounded, so that what never comes is a failure and no hang. */
async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await holds()) return;
    await delay(10);
  }
  assert.fail('it never came');
}
