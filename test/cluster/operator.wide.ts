// Two replicas of the operator process on a real API server: informers, lease, Roles, Events, and what they do while the API
// server is away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { useApiServer } from './api-server.ts';
import { until } from './child.ts';
import { clusterOf, SHOP, secretOf, storeOf } from './documents.ts';
import { OUR_RULES, operatorRoles } from './operator-roles.ts';
import { makeDoorTls, type Replica, startReplica } from './replica.ts';

const HOME = 'cnpg-system';
const ACCOUNT = 'plugin-barman-cloud';
const LEASE = '822e3f5c.cnpg.io';

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(HOME, ACCOUNT);
await api.makeNamespace(SHOP, 'orders', 'other-account');
await kubectl.apply(...operatorRoles(HOME, ACCOUNT, OUR_RULES), secretOf('keys'), storeOf('orders-s3', 'keys'));
await kubectl.apply(clusterOf('orders', 'orders-s3'));
const tls = await makeDoorTls(api.folder);
const mount = await api.mountAccount(HOME, ACCOUNT);
const [first, second] = [await start('first'), await start('second')];

function start(name: string): Promise<Replica> {
  return startReplica(api, { name, mount, tls });
}

const cluster = (name: string): Promise<Cluster> => kubectl.get('cluster', SHOP, name);
const roleText = async (name: string): Promise<string> => JSON.stringify(await kubectl.get('role', SHOP, name));
const holder = async (): Promise<string> => (await kubectl.get('lease', HOME, LEASE))?.spec.holderIdentity ?? '';

test('every replica serves the hooks, whoever leads, and the Role appears with the Cluster as its owner', async () => {
  await first.said('this replica leads');
  const orders = await cluster('orders');
  for (const replica of [second, first]) {
    const operator = await replica.connect();
    await operator.reconcile(orders);
    operator.close();
  }
  const role = await kubectl.get('role', SHOP, 'orders-barman-cloud');
  const [owner] = role.metadata.ownerReferences;
  assert.deepEqual([owner.kind, owner.name, owner.uid], ['Cluster', 'orders', orders.metadata.uid]);
  assert.equal(
    await kubectl.get('rolebinding', SHOP, 'orders-barman-cloud').then(({ roleRef }) => roleRef.name),
    role.metadata.name,
  );
  assert.equal(
    second.lines().some(({ msg }) => msg === 'this replica leads'),
    false,
  );
});

test('the account of the Cluster may do what its sidecars need, and nothing beside it', async () => {
  const mayI = async (account: string, ...question: string[]): Promise<string> => {
    const as = `--as=system:serviceaccount:${SHOP}:${account}`;
    return (await kubectl.tries(['auth', 'can-i', ...question, as, '-n', SHOP])).stdout.trim();
  };
  const allowed = [
    ['get', 'objectstores/orders-s3'],
    ['watch', 'objectstores/orders-s3'],
    ['update', 'objectstores/orders-s3', '--subresource=status'],
    ['patch', 'objectstores/orders-s3', '--subresource=status'],
    ['get', 'secrets/keys'],
  ];
  const forbidden = [
    ['get', 'secrets/other'],
    ['list', 'secrets'],
    ['get', 'objectstores/other'],
    ['list', 'objectstores'],
    ['update', 'objectstores/orders-s3'],
    ['delete', 'objectstores/orders-s3'],
    ['create', 'objectstores'],
    ['get', 'pods'],
    ['get', 'clusters.postgresql.cnpg.io/orders'],
    ['update', 'secrets/keys'],
    ['create', 'roles'],
  ];
  for (const question of allowed) assert.equal(await mayI('orders', ...question), 'yes', question.join(' '));
  for (const question of forbidden) assert.equal(await mayI('orders', ...question), 'no', question.join(' '));
  assert.equal(await mayI('default', 'get', 'secrets/keys'), 'no', 'another account of the namespace');
});

test('a store without Secrets opens no Secret, and a Cluster with an account of its own gets the rights there', async () => {
  const s3Credentials = { inheritFromIAMRole: true };
  await kubectl.apply(
    storeOf('iam', 'unused', { s3Credentials }),
    clusterOf('iam', 'iam', { serviceAccountName: 'other-account' }),
  );
  const operator = await first.connect();
  await operator.reconcile(await cluster('iam'));
  operator.close();
  const ask = (...question: string[]) =>
    kubectl.tries(['auth', 'can-i', ...question, '-n', SHOP, `--as=system:serviceaccount:${SHOP}:other-account`]);
  assert.equal((await ask('get', 'objectstores/iam')).stdout.trim(), 'yes');
  assert.equal((await ask('get', 'secrets/keys')).stdout.trim(), 'no');
});

test('a changed ObjectStore changes the Role at once, by the replica that leads', async () => {
  await kubectl.apply(secretOf('new-keys'), storeOf('orders-s3', 'new-keys'));
  await until('the Role to follow', async () => (await roleText('orders-barman-cloud')).includes('new-keys'), {
    limitMs: 20_000,
  });
  await first.said('the Role follows the changed ObjectStore');
  assert.equal(
    second.lines().some(({ msg }) => msg === 'the Role follows the changed ObjectStore'),
    false,
  );
});

test('a status write of a store is seen by nobody as a change', async () => {
  const before = await kubectl.get('role', SHOP, 'orders-barman-cloud');
  const status = { serverRecoveryWindow: { orders: { lastSuccessfulBackupTime: '2026-11-01T00:00:00Z' } } };
  await kubectl.does([
    'patch',
    'objectstore',
    'orders-s3',
    '-n',
    SHOP,
    '--subresource=status',
    '--type=merge',
    '-p',
    JSON.stringify({ status }),
  ]);
  const store = await kubectl.get('objectstore', SHOP, 'orders-s3');
  assert.deepEqual(store.status, status);
  const after = await kubectl.get('role', SHOP, 'orders-barman-cloud');
  assert.equal(after.metadata.resourceVersion, before.metadata.resourceVersion);
});

test('a Cluster whose store is missing waits, and kubectl shows why', async () => {
  await kubectl.apply(clusterOf('waiting', 'nowhere'));
  const operator = await second.connect();
  const waiting = await cluster('waiting');
  await assert.rejects(operator.reconcile(waiting), /the operator would wait/);
  const events = await until('the Event', async () => {
    const said = await kubectl.does(['get', 'events', '-n', SHOP, '--field-selector', 'reason=ObjectStoreMissing']);
    return said.includes('nowhere') && said;
  });
  assert.match(
    events,
    /Warning +ObjectStoreMissing +cluster\/waiting +ObjectStore .?nowhere.? does not exist in namespace shop/,
  );
  await kubectl.apply(storeOf('nowhere', 'keys'));
  await until('the hook to see the store', () => operator.reconcile(waiting).then(() => true));
  operator.close();
});

test('the API server goes away and comes back: replicas stay, follow again, and miss nothing', async () => {
  const working = first.connect().then(async (operator) => {
    for (let call = 0; call < 20; call += 1) await operator.reconcile(await clusterDocument()).catch(() => undefined);
    operator.close();
  });
  await api.restartApiServer({ downMs: 2_000 });
  await working;
  await kubectl.apply(secretOf('later-keys'), storeOf('orders-s3', 'later-keys'));
  await until('the Role to follow', async () => (await roleText('orders-barman-cloud')).includes('later-keys'), {
    limitMs: 120_000,
  });
  assert.deepEqual([first.process.result(), second.process.result()], [undefined, undefined]);
});

test('the leader is killed: the other replica takes the lease over and makes good what was missed', async () => {
  await first.process.stop('SIGKILL');
  const dead = await holder();
  await kubectl.apply(secretOf('orphan-keys'), storeOf('orders-s3', 'orphan-keys'));
  await second.said('this replica leads', 40_000);
  assert.notEqual(await holder(), dead);
  await until('the Role to follow', async () => (await roleText('orders-barman-cloud')).includes('orphan-keys'), {
    limitMs: 20_000,
  });
});

test('a leader that is told to stop gives the lease back, and the next one need not wait', async () => {
  const third = await start('third');
  assert.deepEqual(await second.process.stop('SIGTERM'), { code: 0, signal: null });
  // Without the release it would be 15 s.
  await third.said('this replica leads', 10_000);
  assert.deepEqual(await third.process.stop('SIGTERM'), { code: 0, signal: null });
  assert.equal(await holder(), '', 'nobody holds it');
});

/** As the operator has it in memory while the API server is away. */
async function clusterDocument(): Promise<Cluster> {
  return { ...clusterOf('orders', 'orders-s3'), metadata: { namespace: SHOP, name: 'orders', uid: 'u-1' } };
}
