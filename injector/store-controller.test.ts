// Roles and Clusters follow a changed ObjectStore, against the test API server over HTTPS.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PreconditionError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import { ANNOTATION_SIDECAR_SETTINGS, PLUGIN_NAME } from '../api/names.ts';
import { silentLog } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';
import { type KubeApi, startKubeApi } from '../test/kube-api.ts';
import { ensureAccess } from './access.ts';
import { createFeed } from './feed.ts';
import { createOperatorKube, type OperatorKube } from './kube.ts';
import { isForbidden } from './kube-informer.ts';
import { roleOf } from './role.ts';
import { type ControllerDeps, type StoreDocument, startStoreController } from './store-controller.ts';

test('the Role follows the Secrets that a changed store names, and nothing else of it changes', async (t) => {
  const { api, start } = await prepare(t);
  await start();
  const before = api.get('Role', 'orders-barman-cloud');
  await api.apply(store('main', { secret: 'rotated' }));
  await until(() => secretsOf(api).includes('rotated'));
  const after = api.get('Role', 'orders-barman-cloud');
  assert.deepEqual(secretsOf(api), ['other-keys', 'rotated']);
  assert.deepEqual(after.metadata.labels, before.metadata.labels);
  assert.deepEqual(after.metadata.ownerReferences, before.metadata.ownerReferences);
});

test('a store that changed while nobody looked is found at the start', async (t) => {
  const { api, start } = await prepare(t);
  await api.apply(store('main', { secret: 'rotated' }));
  await start();
  await until(() => secretsOf(api).includes('rotated'));
});

test('a store that is gone leaves the Role, and its Secrets with it', async (t) => {
  const { api, start } = await prepare(t);
  await start();
  api.remove('ObjectStore', 'main');
  await until(() => !secretsOf(api).includes('main-keys'));
  assert.deepEqual(secretsOf(api), ['other-keys']);
});

test('a store that many Roles grant is read once for all of them', async (t) => {
  const { api, kube, start } = await prepare(t);
  const { object } = await api.apply({ ...cluster('bills', ['main']) });
  await ensureAccess(kube, object as unknown as Cluster, [store('main', { secret: 'main-keys' })], '1.0.0');
  await start();
  const asked = api.requests.length;
  await api.apply(store('main', { secret: 'rotated' }));
  await until(() => JSON.stringify(api.get('Role', 'bills-barman-cloud')).includes('rotated'));
  await until(() => secretsOf(api).includes('rotated'));
  const reads = api.requests.slice(asked).filter((line) => line.endsWith('/objectstores/main'));
  assert.equal(reads.length, 1);
});

test('a status that is written changes nothing, and a Role of another store is left alone', async (t) => {
  const { api, start } = await prepare(t);
  await start();
  const lookedAt = (lines: string[]) => lines.filter((line) => line.includes('/roles?')).length;
  await until(() => lookedAt(api.requests) === 2);
  const before = api.get('Role', 'orders-barman-cloud').metadata.resourceVersion;
  const asked = api.requests.length;
  api.setStatus('ObjectStore', 'main', { serverRecoveryWindow: { orders: {} } });
  await api.apply(store('stranger', { secret: 'stranger-keys' }));
  await until(() => lookedAt(api.requests.slice(asked)) > 0);
  assert.equal(api.get('Role', 'orders-barman-cloud').metadata.resourceVersion, before);
  // One store after the other: what came before the last change has been done with it.
  await api.apply(store('main', { secret: 'rotated' }));
  await until(() => secretsOf(api).includes('rotated'));
  assert.equal(lookedAt(api.requests.slice(asked)), 2, 'for the stranger and for the last change');
});

test('changed sidecar settings touch the Clusters that use the store, and no others; other changes do not', async (t) => {
  const { api, start } = await prepare(t);
  await api.apply({ ...cluster('quiet', ['other']) });
  await start();
  const lookedAt = () => api.requests.filter((line) => line.includes('/roles?')).length;
  await until(() => lookedAt() === 2);
  const annotationOf = (name: string) => api.get('Cluster', name).metadata.annotations?.[ANNOTATION_SIDECAR_SETTINGS];
  await api.apply(store('main', { secret: 'rotated' }));
  await until(() => lookedAt() === 3 && secretsOf(api).includes('rotated'));
  await api.apply(store('main', { secret: 'rotated again' }));
  await until(() => lookedAt() === 4);
  assert.equal(annotationOf('orders'), undefined, 'the first change has been done with when the second is begun');
  await api.apply(store('main', { secret: 'rotated', logLevel: 'debug' }));
  await until(() => annotationOf('orders') !== undefined);
  const first = annotationOf('orders');
  await api.apply(store('main', { secret: 'rotated', logLevel: 'info' }));
  await until(() => annotationOf('orders') !== first);
  assert.equal(annotationOf('quiet'), undefined);
});

test('where Clusters may not be touched, one line says so and Roles are still kept current', async (t) => {
  const lines: string[] = [];
  const { api, start } = await prepare(t);
  await start({
    log: { ...silentLog(), info: (...args: unknown[]) => void lines.push(String(args.at(-1))) },
    port: (kube) => ({
      ...kube,
      annotate: () => Promise.reject(new PreconditionError('clusters is forbidden')),
    }),
  });
  for (const logLevel of ['debug', 'trace']) {
    await api.apply(store('main', { secret: `keys-${logLevel}`, logLevel }));
    await until(() => secretsOf(api).includes(`keys-${logLevel}`));
  }
  await until(() => lines.some((line) => line.includes('clusters is forbidden')));
  assert.equal(lines.filter((line) => line.includes('clusters is forbidden')).length, 1);
});

test('a collision is read anew, and a failure is done again', async (t) => {
  const { api, start } = await prepare(t);
  let failures = 2;
  let collisions = 2;
  await start({
    port: (kube) => ({
      ...kube,
      labelledRoles: (namespace) => {
        if (failures-- > 0) return Promise.reject(new Error('no route'));
        return kube.labelledRoles(namespace);
      },
      replaceRole: async (role) => (collisions-- > 0 ? false : kube.replaceRole(role)),
    }),
  });
  await api.apply(store('main', { secret: 'rotated' }));
  await until(() => secretsOf(api).includes('rotated'));
});

type Overrides = { port?: (kube: OperatorKube) => ControllerDeps['port']; log?: ControllerDeps['log'] };

/** A Cluster that uses two stores and has its Role; the controller is started by the test. */
async function prepare(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-controller-'));
  const api = await startKubeApi({ namespace: 'shop' });
  const followers: Running[] = [];
  t.after(async () => {
    for (const follower of followers.reverse()) await follower.stop();
    await api.stop();
    await rm(folder, { recursive: true });
  });
  await api.writeServiceAccount(folder);
  const place = { kubeconfig: undefined, host: api.host, port: api.port, serviceAccountFolder: folder };
  const kube = createOperatorKube({ ...place, cnpgGroup: 'postgresql.cnpg.io', cnpgVersion: 'v1' });
  const stores = [store('main', { secret: 'main-keys' }), store('other', { secret: 'other-keys' })];
  for (const document of stores) await api.apply(document);
  const { object } = await api.apply({ ...cluster('orders', ['main', 'other']) });
  await ensureAccess(kube, object as unknown as Cluster, stores, '1.0.0');
  assert.equal(roleOf(object as unknown as Cluster, stores, '1.0.0').rules.length, 3);
  return {
    api,
    kube,
    async start({ port = (same) => same, log = silentLog() }: Overrides = {}) {
      const feed = createFeed(kube.storeInformer(), { plural: 'objectstores', isForbidden, log });
      const following = await feed.start();
      const controller = startStoreController({ stores: feed, reads: kube, port: port(kube), log, retryMs: 1 });
      followers.push(following, controller);
    },
  };
}

function store(name: string, { secret, logLevel }: { secret: string; logLevel?: string }): StoreDocument {
  const keys = { accessKeyId: { name: secret, key: 'id' }, secretAccessKey: { name: secret, key: 'key' } };
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name, namespace: 'shop' },
    spec: {
      configuration: { destinationPath: `s3://${name}/`, s3Credentials: keys },
      ...(logLevel === undefined ? {} : { instanceSidecarConfiguration: { logLevel } }),
    },
  } as StoreDocument;
}

function cluster(name: string, [archive = '', source = archive]: string[]) {
  const plugin = (barmanObjectName: string) => ({ name: PLUGIN_NAME, parameters: { barmanObjectName } });
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name, namespace: 'shop' },
    spec: {
      plugins: [plugin(archive)],
      bootstrap: { recovery: { source: 'old' } },
      externalClusters: [{ name: 'old', plugin: plugin(source) }],
    },
  };
}

function secretsOf(api: KubeApi): string[] {
  const { rules } = api.get('Role', 'orders-barman-cloud') as unknown as {
    rules: { resources: string[]; resourceNames: string[] }[];
  };
  return rules.find(({ resources }) => resources.includes('secrets'))?.resourceNames ?? [];
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}
