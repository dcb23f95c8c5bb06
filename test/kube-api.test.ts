// The API server that stands in for a real one, asked by the client that production uses.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PreconditionError } from '../api/errors.ts';
import { makeSelfSigned } from '../api/wire/certificates.ts';
import { createKubeClient, type KubeClient } from '../api/wire/kube.ts';
import { KubeError } from '../api/wire/kube-http.ts';
import { Denied, type KubeApi, startKubeApi } from './kube-api.ts';

const STORE = {
  apiVersion: 'barmancloud.cnpg.io/v1',
  kind: 'ObjectStore',
  metadata: { name: 'minio-store' },
  spec: { configuration: { destinationPath: 's3://backups/' } },
};
const STORES = '/apis/barmancloud.cnpg.io/v1/namespaces/default/objectstores';

async function start(t: TestContext): Promise<{ api: KubeApi; client: KubeClient; folder: string }> {
  const api = await startKubeApi();
  t.after(() => api.stop());
  const folder = await mkdtemp(join(tmpdir(), 'kube-api-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await api.writeServiceAccount(folder);
  const client = createKubeClient({
    host: api.host,
    port: api.port,
    serviceAccountFolder: folder,
    cnpgGroup: 'postgresql.cnpg.io',
    cnpgVersion: 'v1',
    retryDelaysMs: [],
  });
  t.after(() => client.close());
  return { api, client, folder };
}

test('objects are served at the paths of the real API server, with uid and resourceVersion', async (t) => {
  const { api, client } = await start(t);
  await api.apply(STORE);
  const store = await client.objectStore('default', 'minio-store');
  assert.equal(store.spec.configuration.destinationPath, 's3://backups/');
  assert.match(store.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
  assert.ok(Number(store.metadata.resourceVersion) > 0);
  assert.ok(api.requests.includes(`GET ${STORES}/minio-store`));
});

test('an object that is not there is a NotFound status with the words of the API server', async (t) => {
  const { client } = await start(t);
  await assert.rejects(client.objectStore('default', 'nope'), (error: Error) => {
    assert.ok(error instanceof PreconditionError);
    assert.match(error.message, /objectstores\.barmancloud\.cnpg\.io "nope" not found/);
    return true;
  });
});

test('a wrong token is Unauthorized', async (t) => {
  const { client, folder } = await start(t);
  await writeFile(join(folder, 'token'), 'wrong');
  const read = client.request({ method: 'GET', path: STORES });
  await assert.rejects(read, (error: Error) => error instanceof KubeError && error.status === 401);
});

test('a stale resourceVersion is a Conflict, a fresh one is stored and bumped', async (t) => {
  const { api, client } = await start(t);
  const { object } = await api.apply(STORE);
  const { resourceVersion } = object.metadata;
  const body = (version: string | undefined, value: string) => ({
    metadata: { resourceVersion: version },
    spec: { retentionPolicy: value },
  });
  const patch = {
    method: 'PATCH',
    path: `${STORES}/minio-store`,
    contentType: 'application/merge-patch+json',
  } as const;
  const first = (await client.request({ ...patch, body: body(resourceVersion, '7d') })) as typeof object;
  assert.notEqual(first.metadata.resourceVersion, resourceVersion);
  assert.equal(first.metadata.generation, 2);
  const second = client.request({ ...patch, body: body(resourceVersion, '8d') });
  await assert.rejects(second, (error: Error) => error instanceof KubeError && error.status === 409);
});

test('status writes touch the status only', async (t) => {
  const { api, client } = await start(t);
  await api.apply(STORE);
  const window = { firstRecoverabilityPoint: '2026-11-23T00:00:00Z' };
  await client.patchObjectStoreStatus('default', 'minio-store', 'orders', window);
  await api.apply({ ...STORE, spec: { configuration: { destinationPath: 's3://other/' } } });
  const stored = api.get('ObjectStore', 'minio-store');
  assert.deepEqual(stored.status, { serverRecoveryWindow: { orders: window } });
  assert.equal(stored.metadata.generation, 2);
});

test('events, roles and lists are accepted', async (t) => {
  const { client } = await start(t);
  const event = { metadata: { generateName: 'orders.' }, reason: 'Test', message: 'x' };
  const events = '/api/v1/namespaces/default/events';
  await client.request({ method: 'POST', path: events, body: event });
  const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles';
  await client.request({ method: 'POST', path: roles, body: { metadata: { name: 'r' }, rules: [] } });
  const again = client.request({ method: 'POST', path: roles, body: { metadata: { name: 'r' }, rules: [] } });
  await assert.rejects(again, (error: Error) => error instanceof KubeError && error.status === 409);
  const list = (await client.request({ method: 'GET', path: events })) as { kind: string; items: unknown[] };
  assert.equal(list.kind, 'EventList');
  assert.equal(list.items.length, 1);
});

test('a door is asked with a whole AdmissionReview, and its refusal stores nothing', async (t) => {
  const { api } = await start(t);
  const reviews: { request: { uid: string; operation: string; object: { metadata: { name: string } } } }[] = [];
  const tls = await makeSelfSigned({
    commonName: 'door',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
    validMs: 60_000,
  });
  const door = createServer(tls, (request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      const review = JSON.parse(text);
      reviews.push(review);
      const allowed = review.request.object.spec.refuse !== true;
      const status = allowed ? {} : { status: { code: 403, message: 'no' } };
      const answer = { uid: review.request.uid, allowed, warnings: ['careful'], ...status };
      response.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }));
    });
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  t.after(() => door.close());
  const { port } = door.address() as AddressInfo;
  const url = `https://127.0.0.1:${port}/validate`;
  api.addDoor({ name: 'stores.example', url, ca: tls.cert, kind: 'ObjectStore', phase: 'validating' });

  const { warnings } = await api.apply(STORE);
  assert.deepEqual(warnings, ['careful']);
  assert.equal(reviews[0]?.request.operation, 'CREATE');
  assert.equal(reviews[0]?.request.object.metadata.name, 'minio-store');

  const refused = api.apply({ ...STORE, metadata: { name: 'bad' }, spec: { refuse: true } });
  await assert.rejects(refused, (error: Error) => {
    assert.ok(error instanceof Denied);
    assert.equal(error.message, 'admission webhook "stores.example" denied the request: no');
    return true;
  });
  assert.throws(() => api.get('ObjectStore', 'bad'), /not found/);
});
