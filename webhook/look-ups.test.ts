import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../api/names.ts';
import { type LookUps, lookAround, type Subject } from './look-ups.ts';

const OPTIONS = { strictReferences: false, limitMs: 1000 };

function subject(fields: Partial<Subject> = {}): Subject {
  return {
    kind: 'Cluster',
    operation: 'CREATE',
    object: { metadata: { name: 'orders', namespace: 'shop' }, spec: { plugins: [{ name: PLUGIN_NAME }] } },
    namespace: 'shop',
    ...fields,
  };
}

/** Remembers what was asked. */
function recording(): { lookUps: LookUps; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    lookUps: {
      clusters: async () => {
        asked.push('clusters');
        return [];
      },
      objectStores: async () => {
        asked.push('objectStores');
        return [];
      },
      secretKeys: async (namespace, name) => {
        asked.push(`secret ${namespace}/${name}`);
        return undefined;
      },
      backup: async (namespace, name) => {
        asked.push(`backup ${namespace}/${name}`);
        return undefined;
      },
      isNamespaceTerminating: async (namespace) => {
        asked.push(`namespace ${namespace}`);
        return true;
      },
    },
  };
}

const STORE = {
  metadata: { name: 'minio-store' },
  spec: { configuration: { s3Credentials: { accessKeyId: { name: 'minio', key: 'a' } } } },
};
const FROM_BACKUP = { spec: { bootstrap: { recovery: { backup: { name: 'b' } } } } };

for (const [title, given, strict, expected] of [
  ['a Cluster with the plugin', subject(), false, ['clusters', 'objectStores']],
  ['a Cluster without it', subject({ object: { spec: {} } }), false, []],
  ['a Cluster that recovers from a Backup', subject({ object: FROM_BACKUP }), false, ['backup shop/b']],
  ['a Backup', subject({ kind: 'Backup', object: {} }), false, ['clusters', 'objectStores']],
  [
    'an ObjectStore',
    subject({ kind: 'ObjectStore', object: STORE }),
    false,
    ['clusters', 'objectStores', 'secret shop/minio'],
  ],
  [
    'an ObjectStore that is deleted',
    subject({ kind: 'ObjectStore', operation: 'DELETE', object: STORE }),
    false,
    ['clusters'],
  ],
  [
    'an ObjectStore that is deleted, under strictReferences',
    subject({ kind: 'ObjectStore', operation: 'DELETE', object: STORE }),
    true,
    ['clusters', 'namespace shop'],
  ],
] as const) {
  test(`for ${title} only what its rules need is asked`, async () => {
    const { lookUps, asked } = recording();
    const { failures } = await lookAround(given, lookUps, { ...OPTIONS, strictReferences: strict });
    assert.deepEqual(asked.sort(), expected);
    assert.deepEqual(failures, []);
  });
}

test('a look-up that fails is told, and the others count', async () => {
  const { lookUps } = recording();
  const refused = async () => Promise.reject(new Error('clusters is forbidden'));
  const { around, failures } = await lookAround(subject(), { ...lookUps, clusters: refused }, OPTIONS);
  assert.deepEqual(failures, ['not compared with other Clusters, which could not be read: clusters is forbidden']);
  assert.equal(around.clusters, undefined);
  assert.ok(around.stores !== undefined);
});

test('what has not answered after a second is ended by its signal, waited for no longer, and told', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const signals: AbortSignal[] = [];
  const never = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise<never>(() => {});
  };
  let ended = false;
  const looking = lookAround(subject(), { clusters: never, objectStores: async () => [] }, OPTIONS);
  void looking.then(() => {
    ended = true;
  });
  context.mock.timers.tick(999);
  await turns();
  assert.equal(ended, false);
  assert.equal(signals[0]?.aborted, false);
  context.mock.timers.tick(1);
  await turns();
  assert.ok(ended, 'still waiting');
  const { around, failures } = await looking;
  assert.equal(signals[0]?.aborted, true);
  assert.deepEqual(failures, ['not compared with other Clusters, which could not be read: no answer within 1000 ms']);
  assert.ok(around.stores !== undefined, 'what has answered counts');
});

test('an answer that comes too late changes nothing', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const { promise, resolve } = Promise.withResolvers<object[]>();
  const looking = lookAround(subject(), { clusters: () => promise }, OPTIONS);
  context.mock.timers.tick(1000);
  const { around } = await looking;
  resolve([]);
  await turns();
  assert.equal(around.clusters, undefined);
});

/** Lets everything run that is ready to. */
function turns(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
