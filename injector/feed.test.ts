// The live copy, over HTTPS against the test API server, and what breaks it.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '../api/wire/log.ts';
import { startKubeApi } from '../test/kube-api.ts';
import { type Change, createFeed, type FeedObject, type Informer } from './feed.ts';
import { createOperatorKube } from './kube.ts';
import { isForbidden } from './kube-informer.ts';
import type { StoreDocument } from './store-controller.ts';

const NO_PAUSE = { retryMs: 1 };

test('what is there is known at the start, and every change is told as it happens', async (t) => {
  const kube = await startApi(t);
  await kube.apply(store('a'));
  const feed = createFeed(kube.client.storeInformer(), { plural: 'objectstores', isForbidden, log: silentLog() });
  const told: string[] = [];
  feed.onChange(({ object, was, removed }) =>
    told.push(`${removed ? '-' : was === undefined ? '+' : '~'}${object.metadata.name}`),
  );
  assert.equal(feed.isLive(), false);
  const running = await feed.start();
  assert.equal(feed.isLive(), true);
  assert.equal(feed.get('shop', 'a')?.spec.configuration.destinationPath, 's3://a/');
  assert.equal(feed.get('other', 'a'), undefined);

  await kube.apply(store('b'));
  await until(() => feed.get('shop', 'b') !== undefined);
  await kube.apply(store('a', 's3://elsewhere/'));
  await until(() => feed.get('shop', 'a')?.spec.configuration.destinationPath === 's3://elsewhere/');
  kube.remove('a');
  await until(() => feed.get('shop', 'a') === undefined);
  assert.deepEqual(told, ['+a', '+b', '~a', '-a']);
  assert.deepEqual(
    feed.list('shop').map(({ metadata }) => metadata.name),
    ['b'],
  );
  await running.stop();
  assert.equal(feed.isLive(), false);
});

test('a refusal is said once, and the copy is not live', async () => {
  const informer = scripted();
  const lines: string[] = [];
  const log = { ...silentLog(), info: (...args: unknown[]) => void lines.push(String(args.at(-1))) };
  const feed = createFeed(informer, { plural: 'clusters', isForbidden, log, ...NO_PAUSE });
  informer.onStart = () => informer.fail(Object.assign(new Error('no'), { statusCode: 403 }));
  const running = await feed.start();
  assert.equal(feed.isLive(), false);
  assert.deepEqual(lines, ['clusters are read one by one: list and watch of all of them are not allowed here']);
  await running.stop();
});

test('a watch that breaks is begun again, and until then the copy is not live', async () => {
  const informer = scripted();
  const feed = createFeed(informer, { plural: 'clusters', isForbidden, log: silentLog(), ...NO_PAUSE });
  const running = await feed.start();
  assert.equal(feed.isLive(), true);
  informer.fail(new Error('reset'));
  assert.equal(feed.isLive(), false);
  await until(() => feed.isLive());
  assert.equal(informer.starts, 2);
  await running.stop();
  informer.fail(new Error('reset'));
  await delay(5);
  assert.equal(informer.starts, 2, 'a feed that was stopped stays so');
});

test('an API server that does not answer holds the start up for the limit only', async () => {
  const informer = scripted();
  informer.onStart = () => new Promise(() => undefined);
  const feed = createFeed(informer, { plural: 'clusters', isForbidden, log: silentLog(), startLimitMs: 1 });
  const running = await feed.start();
  assert.equal(feed.isLive(), false);
  await running.stop();
});

test('objects are trimmed as they come', async () => {
  const informer = scripted();
  const changes: Change<FeedObject>[] = [];
  const feed = createFeed(informer, {
    ...{ plural: 'clusters', isForbidden, log: silentLog() },
    trim: (object) => delete object.metadata.managedFields,
  });
  feed.onChange((change) => changes.push(change));
  informer.add({ metadata: { name: 'a', namespace: 'shop', managedFields: ['much'] } });
  assert.deepEqual(feed.get('shop', 'a'), { metadata: { name: 'a', namespace: 'shop' } });
  assert.equal(changes.length, 1);
});

function scripted() {
  const adds: ((object: FeedObject) => void)[] = [];
  const errors: ((error: unknown) => void)[] = [];
  const informer = {
    starts: 0,
    onStart: (): unknown => undefined,
    fail(error: Error) {
      for (const tell of errors) tell(error);
    },
    add(object: FeedObject) {
      for (const tell of adds) tell(object);
    },
    on(event: string, listener: (subject: never) => void) {
      if (event === 'error') errors.push(listener as (error: unknown) => void);
      if (event === 'add') adds.push(listener as (object: FeedObject) => void);
    },
    async start() {
      informer.starts += 1;
      await informer.onStart();
    },
    async stop() {},
  };
  return informer satisfies Informer<FeedObject>;
}

async function startApi(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-feed-'));
  const api = await startKubeApi({ namespace: 'shop' });
  t.after(async () => {
    await api.stop();
    await rm(folder, { recursive: true });
  });
  await api.writeServiceAccount(folder);
  const place = { kubeconfig: undefined, host: api.host, port: api.port, serviceAccountFolder: folder };
  const client = createOperatorKube({ ...place, cnpgGroup: 'postgresql.cnpg.io', cnpgVersion: 'v1' });
  return { client, apply: api.apply, remove: (name: string) => api.remove('ObjectStore', name) };
}

function store(name: string, destinationPath = `s3://${name}/`): StoreDocument {
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name, namespace: 'shop' },
    spec: { configuration: { destinationPath } },
  };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}
