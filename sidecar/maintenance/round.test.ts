import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { KEYS, november, plantBackup, plantWal, segment, walKey } from '../../test/planted-backups.ts';
import { toDate } from '../backup/timestamp.ts';
import { maintain } from './round.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const RETRY_MS = 300_000;

test('the current primary applies the policy, shows the window, and waits for the interval', async () => {
  const { run, storage, told, published } = stage();
  assert.equal(await run(), 1_800_000);
  assert.ok(!storage.objects.has(KEYS.backupInfo('20261101T000000')));
  assert.ok(!storage.objects.has(walKey(segment(1, 5))) && storage.objects.has(walKey(segment(1, 10))));
  assert.deepEqual([published, told], [['20261110T000000'], []]);
});

test('Backup objects are listed before the store is looked at, and compared with what retention has left', async () => {
  const { run, order } = stage();
  await run();
  assert.equal(order[0], 'Backup objects listed');
  assert.equal(order.at(-1), 'forget 20261101T000000 with 20261110T000000');
});

test('Backup objects that cannot be compared hide no window', async () => {
  const { run, published } = stage({ forgetFails: true });
  await assert.rejects(run(), /no HEAD today/);
  assert.deepEqual(published, ['20261110T000000']);
});

test('without a policy nothing is deleted, and the window is shown', async () => {
  const { run, storage, published } = stage({ store: { retentionPolicy: undefined } });
  const before = storage.objects.size;
  await run();
  assert.deepEqual([storage.objects.size, published], [before, ['20261101T000000', '20261110T000000']]);
});

for (const [title, cluster] of [
  ['another Pod is the primary', { status: { currentPrimary: 'pg-2' } }],
  ['no primary is known', { status: {} }],
] as const) {
  test(`when ${title} the store is not touched and the gauges follow the status`, async () => {
    const { run, storage, shown } = stage({ cluster });
    assert.equal(await run(), RETRY_MS);
    assert.deepEqual([storage.requests, shown.length], [[], 1]);
  });
}

for (const plugins of [
  [],
  [{ name: PLUGIN_NAME, enabled: false, parameters: { barmanObjectName: 'minio' } }],
  [{ name: PLUGIN_NAME }],
]) {
  test(`with ${JSON.stringify(plugins)} in spec.plugins there is nothing to do for five minutes`, async () => {
    const { run, storage, shown } = stage({ cluster: { spec: { plugins } } });
    assert.equal(await run(), RETRY_MS);
    assert.deepEqual([storage.requests, shown], [[], []]);
  });
}

test('a policy that cannot be applied is an Event, is tried again in five minutes, and hides no window', async () => {
  const { run, storage, told, published, failures } = stage();
  storage.fail('delete', 'refused');
  assert.equal(await run(), RETRY_MS);
  assert.match(failures.join(), /^StoreError/);
  assert.match(told.join(), /^RetentionPolicyFailed: .*injected failure/);
  assert.deepEqual(published, ['20261101T000000', '20261110T000000']);
});

test('objects that the store would not delete are an Event that names the first', async () => {
  const { run, told } = stage({ storage: new Locked() });
  assert.equal(await run(), 1_800_000);
  assert.match(
    told.join(),
    /^RetentionPolicyFailed: 1 objects could not be deleted, first backups\/pg\/base.*: locked$/,
  );
});

test('a shorter interval is kept after trouble; zero and less are five minutes', async () => {
  for (const [seconds, pauseMs] of [
    [60, 60_000],
    [0, RETRY_MS],
    [-5, RETRY_MS],
  ]) {
    const instanceSidecarConfiguration = { retentionPolicyIntervalSeconds: seconds ?? 0 };
    const { run, storage } = stage({ store: { instanceSidecarConfiguration } });
    storage.fail('delete', 'refused');
    assert.equal(await run(), pauseMs);
  }
});

test('a catalog that cannot be read is an error of the round', async () => {
  const { run, storage } = stage({ store: { retentionPolicy: undefined } });
  storage.fail('list', 'broken');
  await assert.rejects(run(), { name: 'StoreError' });
});

type Changes = {
  cluster?: { spec?: Partial<Cluster['spec']>; status?: Cluster['status'] };
  store?: Partial<{ [field in keyof ObjectStore['spec']]: ObjectStore['spec'][field] | undefined }>;
  storage?: FakeStorage;
  forgetFails?: boolean;
};

function stage({ cluster = {}, store = {}, storage = new FakeStorage(), forgetFails = false }: Changes = {}) {
  plantBackup(storage, { id: '20261101T000000', day: 1, begin: 5 });
  plantBackup(storage, { id: '20261110T000000', day: 10, begin: 10 });
  plantWal(storage, 1, 0, 12);
  const told: string[] = [];
  const published: string[] = [];
  const shown: unknown[] = [];
  const order: string[] = [];
  const failures: unknown[] = [];
  storage.before = (verb) => void order.push(verb);
  const archive = fakeArchive(storage);
  const { retentionPolicy = '5d', ...spec } = store;
  archive.objectStore = {
    ...archive.objectStore,
    spec: {
      ...archive.objectStore.spec,
      ...('retentionPolicy' in store && store.retentionPolicy === undefined ? {} : { retentionPolicy }),
      ...(spec.instanceSidecarConfiguration === undefined
        ? {}
        : { instanceSidecarConfiguration: spec.instanceSidecarConfiguration }),
    },
  };
  const plugins = [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio' } }];
  const read: Cluster = {
    metadata: { name: 'pg', namespace: 'default' },
    spec: { plugins, ...cluster.spec },
    status: cluster.status ?? { currentPrimary: 'pg-1' },
  };
  const deps = {
    kube: { cluster: async () => read },
    archives: { open: async () => archive },
    windows: {
      show: (seen: unknown) => void shown.push(seen),
      publish: async (_archive: unknown, entries: readonly { id: string }[]) => {
        published.push(...entries.map(({ id }) => id));
      },
      publishFailure: async () => undefined,
    },
    backupObjects: {
      list: async () => {
        order.push('Backup objects listed');
        return [];
      },
      forget: async ({ catalog, deleted }: { catalog: readonly { id: string }[]; deleted: readonly string[] }) => {
        order.push(`forget ${deleted.join()} with ${catalog.map(({ id }) => id).join()}`);
        if (forgetFails) throw new Error('no HEAD today');
      },
    },
    events: {
      warn: (_cluster: Cluster, reason: string, message: string) => told.push(`${reason}: ${message}`) > 0,
      inform: () => undefined,
      settled: async () => undefined,
    },
    namespace: 'default',
    clusterName: 'pg',
    podName: 'pg-1',
    metrics: { failed: (error: unknown) => void failures.push(error) },
    log: silentLog(),
    now: () => toDate(november(20)),
  };
  return { run: () => maintain(deps, SIGNAL), storage, told, published, shown, order, failures };
}

class Locked extends FakeStorage {
  override async delete(keys: readonly string[]) {
    const locked = keys.filter((key) => key.endsWith('data.tar.gz'));
    await super.delete(keys.filter((key) => !locked.includes(key)));
    return locked.map((key) => ({ key, reason: 'locked' }));
  }
}
