// The operator's double refuses what the operator refuses, and does what it does when a plugin misbehaves: a double that
// lets everything pass proves nothing.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Backup, Cluster, Container } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { BackupResult } from '../../api/proto/gen/backup.ts';
import { OperatorOperationType_Type as Verb } from '../../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksResult_Behavior as Behavior } from '../../api/proto/gen/reconciler.ts';
import { instancePod, recoveryJob } from '../operator-objects.ts';
import { backupOfSchedule, kubectlBackup, reconcileBackup, statusOf } from './backups.ts';
import { drift } from './drift.ts';
import { type Answers, startFakePlugin } from './fake-plugin.ts';
import { createPool } from './pool.ts';
import { enabledPlugins, reconcileCluster } from './reconcile.ts';

const CLUSTER: Cluster = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Cluster',
  metadata: { name: 'orders', namespace: 'shop', uid: 'u-1' },
  spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true }] },
};
const POD = instancePod(CLUSTER, { serial: 1, major: 18 });
const SIDECAR: Container = { name: 'side', image: 'example.test/side:1', restartPolicy: 'Always', startupProbe: {} };
const SHORT_WAITS_MS = [1, 1, 1, 1];
const AT = new Date('2026-11-25T08:00:00Z');

test('a plugin that answers well is called in the order of the loop, and its Cluster is healthy', async (t) => {
  const { turn, calls } = await turnWith(t, {});
  assert.equal(turn.phase, 'healthy');
  const handshake = ['getPluginMetadata', 'getPluginCapabilities', 'getCapabilities', 'getCapabilities', 'probe'];
  assert.deepEqual(calls, [...handshake, 'probe', 'pre', 'lifecycleHook', 'lifecycleHook', 'post']);
});

const MISBEHAVIOUR: [string, Answers, RegExp][] = [
  ['another name than its label', { metadata: { name: 'other.example.test' } }, /never found again/],
  ['no license', { metadata: { license: '' } }, /metadata has no license/],
  ['a capability without its service', { capabilities: [{}] }, /carries no service: the operator panics/],
  ['an answer that is no JSON', { hook: () => 'no json' }, /not valid JSON|Unexpected token/],
  ['an answer that is no patch', { hook: () => ({ op: 'add' }) }, /no RFC 6902 patch/],
  ['an addition below nothing', { hook: () => [add('/spec/nodeSelector/disk', 'ssd')] }, /MissingError/],
  ['a removal of nothing', { hook: () => [{ op: 'remove', path: '/spec/nodeName' }] }, /MissingError/],
  ['no annotations left', { hook: () => [{ op: 'remove', path: '/metadata/annotations' }] }, /EVALUATE removed/],
  [
    'a probe without restartPolicy',
    { hook: once(add('/spec/initContainers/-', { ...SIDECAR, restartPolicy: undefined })) },
    /Forbidden/,
  ],
  [
    'a mount of no volume',
    { hook: once(add('/spec/containers/0/volumeMounts/-', { name: 'x', mountPath: '/x' })) },
    /Not found: "x"/,
  ],
  [
    'the same container twice',
    { hook: () => [add('/spec/initContainers/-', SIDECAR)] },
    /CREATE changed|Duplicate value/,
  ],
  [
    'injection in CREATE only',
    { hook: (verb) => (verb === Verb.TYPE_CREATE ? [add('/spec/hostname', 'x')] : []) },
    /CREATE changed/,
  ],
];

for (const [what, answers, reason] of MISBEHAVIOUR) {
  test(`a plugin that gives ${what} brings its Cluster into the plugin-error phase`, async (t) => {
    const { turn } = await turnWith(t, answers);
    assert.equal(turn.phase, 'plugin-error', turn.reason);
    assert.match(turn.reason ?? '', reason);
  });
}

test('REQUEUE of Pre stops the loop for as long as it says, TERMINATE schedules nothing, and both make no Pod', async (t) => {
  const requeue = await turnWith(t, { pre: { behavior: Behavior.BEHAVIOR_REQUEUE, requeueAfter: 30 } });
  assert.deepEqual([requeue.turn.phase, requeue.turn.requeueAfterS, requeue.pods.size], ['waiting', 30, 0]);
  const terminate = await turnWith(t, { pre: { behavior: Behavior.BEHAVIOR_TERMINATE, requeueAfter: 30 } });
  assert.deepEqual(
    [terminate.turn.phase, terminate.turn.requeueAfterS, terminate.pods.size],
    ['waiting', undefined, 0],
  );
  const unspecified = await turnWith(t, { pre: { behavior: Behavior.BEHAVIOR_UNSPECIFIED } });
  assert.equal(unspecified.turn.phase, 'healthy');
});

test('a failing probe is tried again, five times in all; the connection that failed is built anew', async (t) => {
  const plugin = await startFakePlugin();
  t.after(() => plugin.stop());
  const pool = createPool(plugin.registration, () => plugin.address, SHORT_WAITS_MS);
  t.after(() => pool.close());
  plugin.failProbes(3);
  (await pool.take()).giveBack();
  assert.equal(plugin.calls.filter((call) => call === 'getPluginMetadata').length, 4);
  plugin.failProbes(99);
  await assert.rejects(pool.take(), /not now/);
  assert.equal(pool.size(), 0);
});

test('five connections are the most: a sixth taker waits until one is given back', async (t) => {
  const plugin = await startFakePlugin();
  t.after(() => plugin.stop());
  const pool = createPool(plugin.registration, () => plugin.address, SHORT_WAITS_MS);
  t.after(() => pool.close());
  const lent = await Promise.all(Array.from({ length: 5 }, () => pool.take()));
  let sixth = false;
  const waiting = pool.take().then((taken) => {
    sixth = true;
    return taken;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([pool.size(), sixth], [5, false]);
  lent[0]?.giveBack();
  (await waiting).giveBack();
  for (const { giveBack } of lent.slice(1)) giveBack();
});

test('another certificate than the one of the Secret, on either side, is no connection', async (t) => {
  const [plugin, stranger] = [await startFakePlugin(), await startFakePlugin()];
  t.after(() => plugin.stop());
  t.after(() => stranger.stop());
  const { serverCertificate, client } = stranger.registration;
  for (const wrong of [{ serverCertificate }, { client }, { serverName: 'elsewhere' }]) {
    const pool = createPool({ ...plugin.registration, ...wrong }, () => plugin.address, SHORT_WAITS_MS);
    await assert.rejects(pool.take(), /UNAVAILABLE/);
  }
});

test('plugins are loaded from spec.plugins and external clusters, enabled ones only, each once, by alphabet', () => {
  const stanza = (name: string, enabled?: boolean) => ({ name, ...(enabled === undefined ? {} : { enabled }) });
  const spec = {
    plugins: [stanza('zeta'), stanza('off', false), stanza('beta', true)],
    externalClusters: [{ name: 'a', plugin: stanza('alpha') }, { name: 'b', plugin: stanza('beta') }, { name: 'c' }],
  };
  assert.deepEqual(enabledPlugins({ ...CLUSTER, spec }), ['alpha', 'beta', 'zeta']);
});

test('an unregistered name, a Cluster that is deleted, and one whose loop is off are left without any call', async (t) => {
  const world = { pods: new Map(), jobs: new Map() };
  const unknown = await reconcileCluster(new Map(), CLUSTER, {}, world);
  assert.deepEqual([unknown.phase, unknown.reason, unknown.requeueAfterS], ['unknown-plugin', PLUGIN_NAME, 10]);
  const gone = { ...CLUSTER, metadata: { ...CLUSTER.metadata, deletionTimestamp: AT.toISOString() } };
  assert.equal((await reconcileCluster(new Map(), gone, {}, world)).phase, 'deleted');
  const annotations = { 'cnpg.io/reconciliationLoop': 'disabled' };
  const { turn, calls } = await turnWith(t, {}, { ...CLUSTER, metadata: { ...CLUSTER.metadata, annotations } });
  assert.equal(turn.phase, 'disabled');
  assert.ok(!calls.includes('pre'));
});

test('arguments, pull policy and order of mounts roll no Pod; environment in another order, images and volumes do', () => {
  const [main] = POD.spec.containers;
  assert.ok(main?.env && main.volumeMounts);
  const changed = (fields: Partial<Container>) =>
    drift(POD.spec, { ...POD.spec, containers: [{ ...main, ...fields }] });
  assert.deepEqual(changed({ args: ['--other'], imagePullPolicy: 'Always' }), []);
  assert.deepEqual(changed({ env: main.env.toReversed() }), ['container postgres: env']);
  assert.deepEqual(changed({ image: 'other' }), ['container postgres: image']);
  assert.deepEqual(changed({ volumeMounts: main.volumeMounts.slice(1) }), ['container postgres: volumeMounts']);
  assert.deepEqual(drift(POD.spec, { ...POD.spec, volumes: [] }).length, POD.spec.volumes?.length);
  const added = { ...POD.spec, initContainers: [...(POD.spec.initContainers ?? []), SIDECAR] };
  assert.deepEqual(drift(POD.spec, added), ['init container side added']);
  assert.deepEqual(drift(added, POD.spec), ['init container side removed']);
});

test('Jobs get CREATE only', async (t) => {
  const verbs: Verb[] = [];
  const hook = (verb: Verb) => void verbs.push(verb);
  await turnWith(t, { hook }, CLUSTER, { jobs: [recoveryJob(CLUSTER, { major: 18 })], pods: [] });
  assert.deepEqual(verbs, [Verb.TYPE_CREATE]);
});

test('kubectl demands the name of the plugin, and names the Backup by Cluster and time', () => {
  assert.throws(() => kubectlBackup(CLUSTER, { at: AT }), /plugin-name is required/);
  const backup = kubectlBackup(CLUSTER, { at: AT, pluginName: PLUGIN_NAME });
  assert.equal(backup.metadata.name, 'orders-20261125080000');
  const spec = {
    schedule: '0 0 2 * * *',
    cluster: { name: 'orders' },
    method: 'plugin' as const,
    pluginConfiguration: { name: PLUGIN_NAME },
  };
  const scheduled = backupOfSchedule({ metadata: { name: 'nightly', namespace: 'shop' }, spec }, AT);
  assert.equal(scheduled.metadata.name, 'nightly-20261125080000');
  assert.equal(scheduled.metadata.labels?.['cnpg.io/scheduled-backup'], 'nightly');
});

test('a Backup is refused, left alone or made to wait as the operator would', async () => {
  const backup = kubectlBackup(CLUSTER, { at: AT, pluginName: PLUGIN_NAME });
  const turn = async (cluster: Cluster | undefined, given: Backup = backup, others: Backup[] = []) => {
    const context = { cluster, others, pods: [], exec: () => Promise.reject(new Error('never')) };
    const answer = await reconcileBackup(new Map(), given, context);
    return 'reason' in answer ? [answer.outcome, answer.reason] : [answer.outcome];
  };
  assert.deepEqual(await turn(undefined), ['refused', 'the Cluster does not exist']);
  assert.deepEqual(await turn({ ...CLUSTER, spec: {} }), ['refused', 'the Cluster has no plugins']);
  const annotations = { 'cnpg.io/hibernation': 'on' };
  const asleep = { ...CLUSTER, metadata: { ...CLUSTER.metadata, annotations } };
  assert.deepEqual(await turn(asleep), ['refused', 'the Cluster is hibernated']);
  assert.deepEqual(await turn(CLUSTER, { ...backup, status: { phase: 'failed' } }), ['left-alone', 'it is failed']);
  const other = { ...backup, metadata: { name: 'first' }, status: { phase: 'started' } };
  assert.deepEqual(await turn(CLUSTER, backup, [other]), ['waiting', 'first is running']);
});

test('an answer to Backup that the manager would store as nonsense is refused', () => {
  const good = BackupResult.create({
    backupId: '20261125T080000',
    startedAt: 1_764_057_600,
    stoppedAt: 1_764_057_660,
    online: true,
  });
  assert.equal(statusOf(good).stoppedAt, '2025-11-25T08:01:00Z');
  const cases: [Partial<BackupResult>, RegExp][] = [
    [{ backupId: '' }, /backup_id is empty/],
    [{ startedAt: 0 }, /started_at is 0: it would be stored as 1970/],
    [{ stoppedAt: 1_764_057_660_000 }, /seconds, not milliseconds/],
    [{ online: false }, /online is false/],
  ];
  for (const [wrong, reason] of cases) assert.throws(() => statusOf({ ...good, ...wrong }), reason);
});

async function turnWith(
  t: TestContext,
  answers: Answers,
  cluster = CLUSTER,
  wanted: Parameters<typeof reconcileCluster>[2] = { pods: [POD] },
) {
  const plugin = await startFakePlugin(answers);
  t.after(() => plugin.stop());
  const pool = createPool(plugin.registration, () => plugin.address, SHORT_WAITS_MS);
  t.after(() => pool.close());
  const world = { pods: new Map(), jobs: new Map() };
  const turn = await reconcileCluster(new Map([[PLUGIN_NAME, pool]]), cluster, wanted, world);
  return { turn, calls: plugin.calls, pods: world.pods };
}

function add(path: string, value: unknown) {
  return { op: 'add', path, value };
}

/** The same patch in EVALUATE, nothing in CREATE: the Pod is evaluated already. */
function once(operation: unknown) {
  return (verb: Verb) => (verb === Verb.TYPE_EVALUATE ? [operation] : []);
}
