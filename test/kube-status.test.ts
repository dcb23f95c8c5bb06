// Status writes, tokens and Backups against the API server that stands in for a real one, by the client that the sidecar
// uses.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createKubeClient, type KubeClient } from '../api/wire/kube.ts';
import { type KubeApi, startKubeApi } from './kube-api.ts';

const STORE = {
  apiVersion: 'barmancloud.cnpg.io/v1',
  kind: 'ObjectStore',
  metadata: { name: 'minio' },
  spec: { configuration: { destinationPath: 's3://backups/' } },
};
const PATH = '/apis/barmancloud.cnpg.io/v1/namespaces/default/objectstores/minio';

async function start(t: TestContext) {
  const api = await startKubeApi();
  const folder = await mkdtemp(join(tmpdir(), 'kube-status-'));
  await api.writeServiceAccount(folder);
  const clock = { ms: 0 };
  const clients: KubeClient[] = [];
  /** A sidecar's client of its own. */
  const connect = () => {
    const client = createKubeClient({
      ...{ host: api.host, port: api.port, serviceAccountFolder: folder, retryDelaysMs: [], now: () => clock.ms },
      ...{ cnpgGroup: 'postgresql.cnpg.io', cnpgVersion: 'v1' },
    });
    clients.push(client);
    return client;
  };
  t.after(async () => {
    for (const client of clients) client.close();
    await api.stop();
    await rm(folder, { recursive: true });
  });
  await api.apply(STORE);
  return { api, connect, folder, clock };
}

const withoutPatch = (api: KubeApi) => api.forbid((method) => method === 'PATCH');
const windowsOf = (api: KubeApi) =>
  (api.get('ObjectStore', 'minio').status as { serverRecoveryWindow: unknown } | undefined)?.serverRecoveryWindow;

test('where patch is not granted the status is updated at the version that was read, and nothing else is', async (t) => {
  const { api, connect } = await start(t);
  withoutPatch(api);
  api.setStatus('ObjectStore', 'minio', { foreign: 1, serverRecoveryWindow: { other: { lastFailedBackupTime: 'x' } } });
  const before = api.get('ObjectStore', 'minio');
  const client = connect();
  await client.patchObjectStoreStatus('default', 'minio', 'pg', {
    firstRecoverabilityPoint: 'a',
    lastSuccessfulBackupTime: 'b',
  });
  await client.patchObjectStoreStatus('default', 'minio', 'pg', {
    firstRecoverabilityPoint: null,
    lastFailedBackupTime: 'c',
  });
  const after = api.get('ObjectStore', 'minio');
  assert.deepEqual(after.status, {
    foreign: 1,
    serverRecoveryWindow: {
      other: { lastFailedBackupTime: 'x' },
      pg: { lastSuccessfulBackupTime: 'b', lastFailedBackupTime: 'c' },
    },
  });
  assert.deepEqual([after.spec, after.metadata.generation], [before.spec, before.metadata.generation]);
  assert.deepEqual(
    api.requests.filter((request) => !request.startsWith('PATCH')),
    Array.from({ length: 2 }, () => [`GET ${PATH}`, `PUT ${PATH}/status`]).flat(),
  );
  await client.patchObjectStoreStatus('default', 'minio', 'pg', null);
  assert.deepEqual(windowsOf(api), { other: { lastFailedBackupTime: 'x' } });
});

test('what is read is what is sent back: a status write adds no field to the object', async (t) => {
  const { api, connect } = await start(t);
  withoutPatch(api);
  const sent: unknown[] = [];
  const client = connect();
  const stored = api.get('ObjectStore', 'minio');
  api.onBody = (method, body) => {
    if (method === 'PUT') sent.push(body);
  };
  await client.patchObjectStoreStatus('default', 'minio', 'pg', { lastFailedBackupTime: 'c' });
  assert.deepEqual(sent, [{ ...stored, status: { serverRecoveryWindow: { pg: { lastFailedBackupTime: 'c' } } } }]);
});

test('two backups within a second both show, whoever was faster', async (t) => {
  const { api, connect } = await start(t);
  withoutPatch(api);
  const [one, two] = [connect(), connect()];
  // The second one writes between the first one's read and its write.
  let disturbed = false;
  api.before = async (method) => {
    if (method !== 'PUT' || disturbed) return;
    disturbed = true;
    await two.patchObjectStoreStatus('default', 'minio', 'pg', { lastSuccessfulBackupTime: '2026-11-25T00:00:01Z' });
  };
  await one.patchObjectStoreStatus('default', 'minio', 'pg', { firstRecoverabilityPoint: '2026-11-25T00:00:00Z' });
  assert.deepEqual(windowsOf(api), {
    pg: { firstRecoverabilityPoint: '2026-11-25T00:00:00Z', lastSuccessfulBackupTime: '2026-11-25T00:00:01Z' },
  });
});

test('ten servers that share a store, all at once, all show', async (t) => {
  const { api, connect } = await start(t);
  withoutPatch(api);
  const servers = Array.from({ length: 10 }, (_, index) => `pg-${index}`);
  const write = (server: string) =>
    connect().patchObjectStoreStatus('default', 'minio', server, { lastSuccessfulBackupTime: server });
  await Promise.all(servers.map(write));
  assert.deepEqual(Object.keys(windowsOf(api) ?? {}).sort(), servers);
});

test('where nothing is granted the failure says what is missing', async (t) => {
  const { api, connect } = await start(t);
  api.forbid((method) => method !== 'GET');
  await assert.rejects(connect().patchObjectStoreStatus('default', 'minio', 'pg', null), {
    name: 'PreconditionError',
    message: /^ObjectStore default\/minio: status cannot be written \(PUT .*; the grants/,
  });
});

test('a token that is replaced and withdrawn within the second costs no request', async (t) => {
  const { api, connect, folder } = await start(t);
  const client = connect();
  await client.request({ method: 'GET', path: PATH });
  api.rotateToken();
  await api.writeServiceAccount(folder);
  const write = { method: 'PATCH', path: `${PATH}/status`, contentType: 'application/merge-patch+json' } as const;
  await client.request({ ...write, body: { status: { seen: 1 } } });
  assert.deepEqual(api.get('ObjectStore', 'minio').status, { seen: 1 });
});

test('a token that stays refused is an error after one request, and the next one is read when the kubelet brings it', async (t) => {
  const { api, connect, folder, clock } = await start(t);
  const client = connect();
  api.rotateToken();
  const before = api.requests.length;
  await assert.rejects(client.request({ method: 'GET', path: PATH }), { name: 'KubeError', status: 401 });
  assert.equal(api.requests.length, before + 1);
  await api.writeServiceAccount(folder);
  clock.ms += 1000;
  await client.request({ method: 'GET', path: PATH });
});

test('Backups are listed in pages, and only the very object that was seen is deleted', async (t) => {
  const { api, connect } = await start(t);
  const { backups } = connect();
  for (let number = 0; number < 201; number += 1) {
    const metadata = { name: `b-${number}` };
    await api.apply({
      apiVersion: 'postgresql.cnpg.io/v1',
      kind: 'Backup',
      metadata,
      spec: { cluster: { name: 'pg' } },
    });
  }
  const seen: { name: string; uid: string }[] = [];
  for await (const { metadata } of backups.list('default')) seen.push({ name: metadata.name, uid: metadata.uid ?? '' });
  assert.equal(seen.length, 201);
  assert.equal(api.requests.filter((request) => request.includes('/backups?limit=200')).length, 2);
  const [first = { name: '', uid: '' }] = seen;
  assert.equal(await backups.remove('default', first.name, 'another'), false);
  assert.equal(api.get('Backup', first.name).metadata.uid, first.uid);
  assert.equal(await backups.remove('default', first.name, first.uid), true);
  assert.throws(() => api.get('Backup', first.name), /not found/);
  assert.equal(await backups.remove('default', first.name, first.uid), true, 'gone already');
});
