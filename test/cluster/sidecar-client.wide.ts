// The sidecar's client on a real API server: tokens that are replaced and withdrawn, and writers of one status that meet.
import assert from 'node:assert/strict';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createKubeClient, type KubeClient } from '../../api/wire/kube.ts';
import { KubeError } from '../../api/wire/kube-http.ts';
import { writeRecoveryWindow } from '../../api/wire/kube-status.ts';
import { useApiServer } from './api-server.ts';
import { until } from './child.ts';
import { SHOP, secretOf, storeOf } from './documents.ts';

const [ACCOUNT, STORE] = ['orders', 'orders-s3'];
const STORE_PATH = `/apis/barmancloud.cnpg.io/v1/namespaces/${SHOP}/objectstores/${STORE}`;

const api = await useApiServer();
const { kubectl } = api;
await api.makeNamespace(SHOP, ACCOUNT);
await kubectl.apply(storeOf(STORE, 'keys'), ...grants());

test('a token that was replaced and then withdrawn is noticed by its refusal, and the new one is used at once', async () => {
  await kubectl.apply(secretOf('first'), secretOf('second'));
  const mount = await api.mountAccount(SHOP, ACCOUNT);
  const left = join(api.folder, 'left-behind');
  await mkdir(left);
  const tokens = { first: await boundToken('first'), second: await boundToken('second') };
  await writeFile(join(mount, 'token'), tokens.first);
  await writeFile(join(left, 'token'), tokens.first);
  await copyFile(api.caFile, join(left, 'ca.crt'));
  const [client, leftBehind] = [connect(mount), connect(left)];
  const read = (who: KubeClient) => who.request({ method: 'GET', path: STORE_PATH });
  for (const who of [client, leftBehind]) await read(who);

  await writeFile(join(mount, 'token'), tokens.second);
  await kubectl.does(['delete', 'secret', 'first', '-n', SHOP]);
  // The API server remembers for 10 s that a token was good.
  await until('the first token to be refused', () =>
    read(leftBehind).then(
      () => false,
      (error) => error instanceof KubeError && error.status === 401,
    ),
  );
  assert.equal(((await read(client)) as { kind: string }).kind, 'ObjectStore');
});

test('a write of the recovery window that meets another one is repeated on what that one left', async () => {
  const client = connect(await api.mountAccount(SHOP, ACCOUNT));
  const refused: (number | undefined)[] = [];
  let met = false;
  const late: Pick<KubeClient, 'request'> = {
    async request(request) {
      if (request.method === 'PUT' && !met) {
        met = true;
        await setStatus({ other: { lastSuccessfulBackupTime: '2026-11-01T00:00:00Z' } });
      }
      return client.request(request).catch((error) => {
        refused.push(error.status);
        throw error;
      });
    },
  };
  await writeRecoveryWindow(late, STORE_PATH, 'orders', { lastSuccessfulBackupTime: '2026-11-02T00:00:00Z' });
  assert.deepEqual(refused, [403, 409]);
  assert.deepEqual(await windows(), {
    other: { lastSuccessfulBackupTime: '2026-11-01T00:00:00Z' },
    orders: { lastSuccessfulBackupTime: '2026-11-02T00:00:00Z' },
  });
});

test('eight sidecars write their windows at the same time, and each of them shows', async () => {
  const mount = await api.mountAccount(SHOP, ACCOUNT);
  const servers = Array.from({ length: 8 }, (_, n) => `server-${n}`);
  const window = { lastFailedBackupTime: '2026-11-03T00:00:00Z' };
  await Promise.all(servers.map((server) => connect(mount).patchObjectStoreStatus(SHOP, STORE, server, window)));
  const shown = await windows();
  assert.deepEqual(
    servers.map((server) => shown[server]),
    servers.map(() => window),
  );
});

/** As the Go plugin's Roles: `update` of the status, no `patch`. */
function grants(): object[] {
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const [group, metadata] = ['barmancloud.cnpg.io', { namespace: SHOP, name: ACCOUNT }];
  const rules = [
    { apiGroups: [group], resources: ['objectstores'], verbs: ['get'] },
    { apiGroups: [group], resources: ['objectstores/status'], verbs: ['update'] },
  ];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ACCOUNT };
  return [
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [{ kind: 'ServiceAccount', ...metadata }] },
  ];
}

/** A token that is good for as long as the Secret exists. */
async function boundToken(secret: string): Promise<string> {
  const bound = ['--bound-object-kind=Secret', `--bound-object-name=${secret}`];
  return (await kubectl.does(['create', 'token', ACCOUNT, '-n', SHOP, ...bound])).trim();
}

/** The clock of its caches stands still: only a refusal makes it read a file again. */
function connect(serviceAccountFolder: string): KubeClient {
  const client = createKubeClient({
    ...{ host: api.address, port: api.port, serviceAccountFolder, now: () => 0 },
    ...{ cnpgGroup: 'postgresql.cnpg.io', cnpgVersion: 'v1' },
  });
  after(() => client.close());
  return client;
}

async function setStatus(serverRecoveryWindow: object): Promise<void> {
  const target = ['objectstore', STORE, '-n', SHOP, '--subresource=status', '--type=merge'];
  await kubectl.does(['patch', ...target, '-p', JSON.stringify({ status: { serverRecoveryWindow } })]);
}

async function windows(): Promise<Record<string, unknown>> {
  return (await kubectl.get('objectstore', SHOP, STORE)).status.serverRecoveryWindow;
}
