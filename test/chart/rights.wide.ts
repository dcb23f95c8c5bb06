// The operator process under the account, the rights and the flags that the chart gives it: they suffice, and no more is given.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { useApiServer } from '../cluster/api-server.ts';
import { startChild, until } from '../cluster/child.ts';
import { freePort } from '../servers/free-port.ts';
import { runAsync } from './helm.ts';
import { CHART } from './values.ts';

const NAMESPACE = 'cnpg-system';
const ACCOUNT = 'plugin-barman-cloud';
const ENTRY = join(dirname(dirname(CHART)), 'main.ts');

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(NAMESPACE);
await api.makeNamespace('shop');
await runAsync(process.env.CELLAR_HELM || 'helm', ['install', 'cellar', CHART, '-n', NAMESPACE, '--take-ownership'], {
  KUBECONFIG: api.kubeconfig,
  HOME: api.folder,
});
const log = join(api.folder, 'operator.log');

test('the process becomes ready, makes its certificates, and is forbidden nothing', async () => {
  const [container] = (await kubectl.get('deployment', NAMESPACE, 'barman-cloud')).spec.template.spec.containers;
  const health = await freePort();
  // The last of two equal flags counts.
  const ports = [
    '--server-address=127.0.0.1:0',
    '--webhook-address=127.0.0.1:0',
    `--health-probe-bind-address=127.0.0.1:${health}`,
  ];
  const child = await startChild({
    ...{ name: 'operator', program: process.execPath, args: [ENTRY, ...container.args, ...ports, '--log-level=debug'] },
    ...{ logFile: log, folder: api.folder },
    env: {
      ...Object.fromEntries(container.env.map(({ name, value }: { name: string; value: string }) => [name, value])),
      KUBERNETES_SERVICE_HOST: api.address,
      KUBERNETES_SERVICE_PORT: String(api.port),
      CELLAR_SERVICE_ACCOUNT_FOLDER: await api.mountAccount(NAMESPACE, ACCOUNT),
    },
  });
  after(() => child.stop());
  await until('the process to be ready', () => isReady(health), { limitMs: 60_000, children: [child] });
  for (const name of ['cellar-ca', 'cellar-webhook-tls', 'barman-cloud-server-tls', 'barman-cloud-client-tls']) {
    assert.ok(await kubectl.get('secret', NAMESPACE, name), name);
  }
  for (const kind of ['validatingwebhookconfiguration', 'mutatingwebhookconfiguration']) {
    const { webhooks } = await kubectl.get(kind, undefined, 'cellar-webhook');
    for (const { name, clientConfig } of webhooks) assert.ok(clientConfig.caBundle, `${kind} ${name} has a caBundle`);
  }
  await until('the lease', () => kubectl.get('lease', NAMESPACE, '822e3f5c.cnpg.io'), {
    limitMs: 30_000,
    children: [child],
  });
  assert.doesNotMatch(readFileSync(log, 'utf8'), /forbidden|cannot be followed|may not/i);
});

test('a change of the chart leaves the caBundle in place', async () => {
  const caBundle = async () =>
    (await kubectl.get('validatingwebhookconfiguration', undefined, 'cellar-webhook')).webhooks[0].clientConfig
      .caBundle;
  const before = await caBundle();
  await runAsync(
    process.env.CELLAR_HELM || 'helm',
    ['upgrade', 'cellar', CHART, '-n', NAMESPACE, '--set', 'webhook.timeoutSeconds=7'],
    {
      KUBECONFIG: api.kubeconfig,
      HOME: api.folder,
    },
  );
  assert.equal(await caBundle(), before);
});

test('what the Go plugin may and ours need not is not given', async () => {
  for (const question of [
    'create secrets',
    'delete secrets',
    'update secrets',
    'create objectstores',
    'delete objectstores',
    'update objectstores',
    'delete roles',
    'create pods',
  ]) {
    assert.equal(await mayI('shop', ...question.split(' ')), 'no', question);
  }
  assert.equal(await mayI(NAMESPACE, 'update', 'secrets/another'), 'no');
});

test('what it may is what it asks for, also later on', async () => {
  for (const kind of ['objectstores', 'clusters', 'backups', 'scheduledbackups', 'roles', 'rolebindings', 'secrets']) {
    for (const verb of ['get', 'list', 'watch']) assert.equal(await mayI('shop', verb, kind), 'yes', `${verb} ${kind}`);
  }
  for (const question of [
    'create roles',
    'update roles',
    'create rolebindings',
    'patch clusters',
    'create events',
    'patch events',
    'get namespaces',
  ]) {
    assert.equal(await mayI('shop', ...question.split(' ')), 'yes', question);
  }
  for (const name of ['cellar-ca', 'cellar-webhook-tls', 'barman-cloud-server-tls', 'barman-cloud-client-tls']) {
    assert.equal(await mayI(NAMESPACE, 'update', `secrets/${name}`), 'yes', name);
  }
  for (const kind of ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations']) {
    assert.equal(await mayI(NAMESPACE, 'update', `${kind}/cellar-webhook`), 'yes', kind);
  }
});

test('who may edit a namespace may edit its ObjectStores', async () => {
  const edit = await kubectl.get('clusterrole', undefined, 'barman-plugin-objectstore-editor-role');
  assert.equal(edit.metadata.labels['rbac.authorization.k8s.io/aggregate-to-edit'], 'true');
});

async function mayI(namespace: string, ...question: string[]): Promise<string> {
  const as = `--as=system:serviceaccount:${NAMESPACE}:${ACCOUNT}`;
  return (await kubectl.tries(['auth', 'can-i', ...question, as, '-n', namespace])).stdout.trim();
}

async function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}
