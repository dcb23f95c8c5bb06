import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { InvalidInputError, PreconditionError } from '../api/errors.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import { startKubeApi } from '../test/kube-api.ts';
import { createOperatorKube } from './kube.ts';
import { MissingObjectError } from './reads.ts';

const IN_CLUSTER = {
  kubeconfig: undefined,
  host: '127.0.0.1',
  port: 1,
  serviceAccountFolder: '/nowhere',
  cnpgGroup: 'postgresql.cnpg.io',
  cnpgVersion: 'v1',
};

const EVENT = {
  apiVersion: 'v1' as const,
  kind: 'Event' as const,
  metadata: { namespace: 'shop', name: 'orders.1' },
  involvedObject: { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster', name: 'orders', namespace: 'shop' },
  type: 'Warning' as const,
  reason: 'Waiting',
  message: 'no store',
  source: { component: 'plugin-barman-cloud' },
  reportingComponent: 'barman-cloud.cloudnative-pg.io',
  reportingInstance: 'barman-cloud-0',
  firstTimestamp: '2026-11-25T08:00:00Z',
  lastTimestamp: '2026-11-25T08:00:00Z',
};

test('reads through a kubeconfig, and tells a missing object', async (t) => {
  const folder = await temporaryFolder(t);
  const kube = await startKubeApi({ namespace: 'shop' });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(folder);
  const kubeconfig = await writeKubeconfig(folder, {
    cluster: { server: `https://${kube.host}:${kube.port}`, 'certificate-authority': join(folder, 'ca.crt') },
    user: { token: await readFile(join(folder, 'token'), 'utf8') },
  });
  await kube.apply({
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: { instances: 3 },
  });
  const client = createOperatorKube({ ...IN_CLUSTER, kubeconfig });
  assert.equal((await client.cluster('shop', 'orders')).metadata.name, 'orders');
  await assert.rejects(client.objectStore('shop', 'gone'), (error) => {
    assert.ok(error instanceof MissingObjectError);
    assert.deepEqual([error.kind, error.namespace, error.objectName], ['ObjectStore', 'shop', 'gone']);
    return true;
  });
});

test('a name that no object can have is missing without being asked for', async (t) => {
  const folder = await temporaryFolder(t);
  const kube = await startKubeApi({ namespace: 'shop' });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(folder);
  const place = { host: kube.host, port: kube.port, serviceAccountFolder: folder };
  const client = createOperatorKube({ ...IN_CLUSTER, ...place });
  for (const name of ['.', '..', 'Main', 'a/b', 'main?', '', 'x'.repeat(254), ' main']) {
    await assert.rejects(client.objectStore('shop', name), MissingObjectError, name);
  }
  assert.deepEqual(kube.requests, []);
});

test('what the API server forbids is said in its words, with what to allow', async (t) => {
  const message = 'clusters.postgresql.cnpg.io "orders" is forbidden: User "system:serviceaccount:x" cannot get';
  const client = await clientOf(t, 403, JSON.stringify({ kind: 'Status', status: 'Failure', message, code: 403 }));
  await assert.rejects(client.cluster('shop', 'orders'), (error) => {
    assert.ok(error instanceof PreconditionError && !(error instanceof MissingObjectError));
    assert.match(error.message, /is forbidden: User .* cannot get; allow .* to read clusters$/);
    return true;
  });
});

test('an Event is made once and then counts up, and a refusal to write it is told from other failures', async (t) => {
  const folder = await temporaryFolder(t);
  const kube = await startKubeApi({ namespace: 'shop' });
  t.after(() => kube.stop());
  await kube.writeServiceAccount(folder);
  const { events } = createOperatorKube({
    ...IN_CLUSTER,
    host: kube.host,
    port: kube.port,
    serviceAccountFolder: folder,
  });
  await events.create({ ...EVENT, count: 1 });
  await events.repeat('shop', 'orders.1', { count: 7, lastTimestamp: '2026-11-25T09:00:00Z' });
  const { count, firstTimestamp, lastTimestamp, message } = kube.get('Event', 'orders.1');
  assert.deepEqual(
    [count, firstTimestamp, lastTimestamp, message],
    [7, '2026-11-25T08:00:00Z', '2026-11-25T09:00:00Z', 'no store'],
  );

  const outcomes: boolean[] = [];
  for (const status of [403, 404, 500]) {
    const client = await clientOf(t, status, JSON.stringify({ kind: 'Status', message: 'no', code: status }));
    await client.events
      .create({ ...EVENT, count: 1 })
      .catch((error) => outcomes.push(client.events.isForbidden(error)));
  }
  assert.deepEqual(outcomes, [true, false, false]);
});

test('other refusals keep their status and repeat neither headers nor body', async (t) => {
  const client = await clientOf(t, 503, '<html>geheim</html>');
  await assert.rejects(client.cluster('shop', 'orders'), (error) => {
    assert.ok(error instanceof KubeError && error.retriable, String(error));
    assert.equal(error.status, 503);
    assert.doesNotMatch(error.message, /geheim|html|Headers/);
    return true;
  });
});

test('a kubeconfig that cannot be used is named', () => {
  assert.throws(
    () => createOperatorKube({ ...IN_CLUSTER, kubeconfig: '/nowhere/config' }),
    (error) => error instanceof InvalidInputError && /KUBECONFIG: found "\/nowhere\/config"/.test(error.message),
  );
});

/** A client of a server that always answers the same. */
async function clientOf(t: TestContext, status: number, body: string) {
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', 'x-geheim': 'geheim' }).end(body);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const folder = await temporaryFolder(t);
  const kubeconfig = await writeKubeconfig(folder, {
    // Plain HTTP is allowed to those who say that they do not want TLS.
    cluster: { server: `http://127.0.0.1:${address.port}`, 'insecure-skip-tls-verify': true },
    user: { token: 'any' },
  });
  return createOperatorKube({ ...IN_CLUSTER, kubeconfig });
}

async function writeKubeconfig(folder: string, access: { cluster: object; user: object }): Promise<string> {
  const file = join(folder, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: access.cluster }],
    users: [{ name: 'test', user: access.user }],
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-kube-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}
