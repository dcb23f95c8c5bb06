// A deployment that somebody wrote by hand for the Go plugin (field-use.md): its flags and its environment, its ClusterRole
// and nothing more, no webhook. What needs further rights is off, and one line for each says so.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { issue, makeAuthority } from '../../api/wire/certificates.ts';
import { addressOf, type Resource } from '../kube/resources.ts';
import { type KubeApi, startKubeApi } from '../kube-api.ts';
import { instancePod } from '../operator-objects.ts';
import { discover } from './discovery.ts';
import { createPool } from './pool.ts';
import { OPERATOR_NAMESPACE, startOperatorProcess } from './process.ts';
import { reconcileCluster } from './reconcile.ts';
import { STORE } from './valid-documents.ts';

/** objectstore-and-injection.md §7.3, and the Role of its leader election. */
const GO_PLUGIN: Record<string, string[]> = {
  secrets: ['create', 'delete', 'get', 'list', 'watch'],
  objectstores: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  backups: ['get', 'list', 'watch'],
  roles: ['create', 'get', 'list', 'patch', 'update', 'watch'],
  rolebindings: ['create', 'get', 'list', 'patch', 'update', 'watch'],
  leases: ['create', 'get', 'list', 'patch', 'update', 'watch'],
};

const CLUSTER: Cluster = {
  apiVersion: 'postgresql.cnpg.io/v1',
  kind: 'Cluster',
  metadata: { name: 'orders', namespace: 'shop', uid: 'u-1' },
  spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'orders-s3' } }] },
};

test("with the Go plugin's rights alone everything of the Go plugin works, and what is beyond is one line each", async (t) => {
  const { kubeApi, forbidden, place } = await startWithRights(t, GO_PLUGIN);
  await kubeApi.apply({ ...STORE });
  const operator = await startOperatorProcess({
    kubeApi: place,
    flags: [
      '--log-level=debug',
      '--metrics-bind-address=:8443',
      '--metrics-secure',
      '--enable-http2=false',
      '--plugin-path=/plugins',
    ],
  });
  t.after(() => operator.stop());
  const [plugin] = discover(operator.deployed, OPERATOR_NAMESPACE).plugins.values();
  assert.ok(plugin);
  const pool = createPool(plugin, () => operator.address);
  t.after(async () => pool.close());
  const plugins = new Map([[PLUGIN_NAME, pool]]);
  const world = { pods: new Map(), jobs: new Map() };
  const wanted = { pods: [instancePod(CLUSTER, { serial: 1, major: 18 })] };

  const turn = await reconcileCluster(plugins, CLUSTER, wanted, world);
  assert.equal(turn.phase, 'healthy', turn.reason);
  assert.equal(world.pods.size, 1);
  await operator.linesUntil('this replica leads');

  const missing: Cluster = {
    ...CLUSTER,
    spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'late' } }] },
  };
  for (let time = 0; time < 3; time += 1) {
    assert.equal((await reconcileCluster(plugins, missing, {}, world)).phase, 'waiting');
  }
  const changed = structuredClone(STORE);
  changed.spec.instanceSidecarConfiguration = { logLevel: 'trace' };
  await kubeApi.apply({ ...changed });
  await linesWith(operator, /changed sidecar settings wait/);

  const said = operator.lines().map(({ msg }) => msg ?? '');
  const lines = (pattern: RegExp) => said.filter((line) => pattern.test(line)).length;
  assert.equal(lines(/^clusters are read one by one: list and watch of all of them are not allowed here$/), 1);
  assert.equal(lines(/^Events are not written: this service account may not create and patch them$/), 1);
  assert.equal(lines(/^changed sidecar settings wait for the operator's next reconciliation/), 1);
  assert.equal(lines(/^flags without effect$/), 1);
  assert.deepEqual([...new Set(forbidden)].sort(), ['create events', 'list clusters']);
});

/** An API server that lets through what the rights say, and answers 403 otherwise. */
async function startWithRights(t: TestContext, rights: Record<string, string[]>) {
  const kubeApi = await startKubeApi({ namespace: 'shop' });
  t.after(() => kubeApi.stop());
  const authority = await makeAuthority({ commonName: 'kubernetes', validMs: 3_600_000 });
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const tls = await issue(authority, { commonName: 'guard', ...names, usages: ['server'], validMs: 3_600_000 });
  const forbidden: string[] = [];
  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://guard');
    const address = addressOf(url.pathname);
    const verb = verbOf(request.method ?? '', url, address?.name);
    if (address !== undefined && !rights[address.resource.plural]?.includes(verb)) {
      forbidden.push(`${verb} ${address.resource.plural}`);
      const message = `${title(address.resource)} is forbidden: User "plugin" cannot ${verb} it`;
      response.writeHead(403, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', status: 'Failure', code: 403, reason: 'Forbidden', message }));
      return;
    }
    const { host, port, ca } = kubeApi;
    const { method, headers } = request;
    const onward = httpsRequest({ host, port, path: request.url, method, headers, ca }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const place: Pick<KubeApi, 'host' | 'port' | 'writeServiceAccount'> = {
    ...{ host: '127.0.0.1', port },
    async writeServiceAccount(folder, namespace) {
      await kubeApi.writeServiceAccount(folder, namespace);
      await writeFile(join(folder, 'ca.crt'), authority.cert);
    },
  };
  return { kubeApi, forbidden, place };
}

function verbOf(method: string, url: URL, name: string | undefined): string {
  if (method === 'GET' && url.searchParams.has('watch')) return 'watch';
  if (method === 'GET') return name === undefined ? 'list' : 'get';
  return { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }[method] ?? method;
}

function title({ plural, group }: Resource): string {
  return group === '' ? plural : `${plural}.${group}`;
}

/** Bounded, so that what never comes is a failure and no hang. */
async function linesWith(operator: { lines(): { msg?: string }[] }, pattern: RegExp): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (operator.lines().some(({ msg = '' }) => pattern.test(msg))) return;
    await delay(10);
  }
  assert.fail(`nobody said ${pattern}`);
}
