import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../api/names.ts';
import { judgeKind } from './judge-kind.ts';
import type { LookUps } from './look-ups.ts';
import type { Review } from './review.ts';

function cluster(name: string, namespace: string | undefined = 'shop', fields: object = {}) {
  return {
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...fields },
    spec: {
      plugins: [
        { name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'minio-store', serverName: 'one' } },
      ],
    },
  };
}

const STORE = {
  metadata: { name: 'minio-store', namespace: 'shop' },
  spec: { configuration: { destinationPath: 's3://b', s3Credentials: { inheritFromIAMRole: true } } },
};

function lookUps(clusters: unknown[], stores: unknown[] = [STORE]): LookUps {
  return { clusters: async () => clusters, objectStores: async () => stores };
}

function review(object: unknown, fields: Partial<Review> = {}): Review {
  return {
    uid: 'u',
    operation: 'CREATE',
    group: 'postgresql.cnpg.io',
    kind: 'Cluster',
    namespace: 'shop',
    name: 'orders',
    subResource: '',
    object,
    oldObject: undefined,
    ...fields,
  };
}

test('a Cluster is compared with the others, not with itself, and not with one that is going', async () => {
  const going = cluster('going', 'shop', { deletionTimestamp: '2026-01-01T00:00:00Z' });
  const free = await judgeKind('Cluster', review(cluster('orders')), {
    lookUps: lookUps([cluster('orders'), going]),
  });
  assert.deepEqual([free.outcome, free.rules], ['allowed', []]);
  const taken = await judgeKind('Cluster', review(cluster('orders')), { lookUps: lookUps([cluster('billing')]) });
  assert.deepEqual([taken.outcome, taken.rules], ['refused', ['CL11']]);
});

test('the namespace of the request counts where the object has none', async () => {
  const found = await judgeKind('Cluster', review({ ...cluster('orders'), metadata: { name: 'orders' } }), {
    lookUps: lookUps([cluster('billing'), cluster('orders')]),
  });
  assert.deepEqual([found.outcome, found.rules], ['refused', ['CL11']]);
});

test('a stored collision only warns on an update, one that the update brings in refuses', async () => {
  const around = { lookUps: lookUps([cluster('billing')]) };
  const before = cluster('orders');
  const elsewhere = structuredClone(before);
  const [entry] = elsewhere.spec.plugins;
  if (entry !== undefined) entry.parameters.serverName = 'two';
  const update = (oldObject: unknown) => review(cluster('orders'), { operation: 'UPDATE', oldObject });
  assert.equal((await judgeKind('Cluster', update(before), around)).outcome, 'warned');
  assert.equal((await judgeKind('Cluster', update(elsewhere), around)).outcome, 'refused');
});

test('without look-ups, and with look-ups that fail, an object passes that others would make a refusal of', async () => {
  assert.equal((await judgeKind('Cluster', review(cluster('orders')), {})).outcome, 'allowed');
  const refused = { ...lookUps([]), clusters: async () => Promise.reject(new Error('forbidden')) };
  const { outcome, verdict } = await judgeKind('Cluster', review(cluster('orders')), { lookUps: refused });
  assert.equal(outcome, 'warned');
  assert.deepEqual(verdict.warnings, ['not compared with other Clusters, which could not be read: forbidden']);
});

test('a store that Clusters use is deleted with a warning, refused under strictReferences, free while its namespace goes', async () => {
  const deletion = review(null, { operation: 'DELETE', kind: 'ObjectStore', oldObject: STORE });
  const outcome = async (strictReferences: boolean, terminating?: boolean) => {
    const around = lookUps([cluster('orders')]);
    if (terminating !== undefined) around.isNamespaceTerminating = async () => terminating;
    return (await judgeKind('ObjectStore', deletion, { lookUps: around, strictReferences })).outcome;
  };
  assert.equal(await outcome(false), 'warned');
  assert.equal(await outcome(true, false), 'refused');
  assert.equal(await outcome(true, true), 'allowed');
  assert.equal(await outcome(true), 'warned', 'not known whether the namespace goes');
  assert.equal(await outcome(false, false), 'warned');
});

test('nothing is asked for what is not judged: opted out, being deleted, a status, another operation', async () => {
  const asked: string[] = [];
  const spying: LookUps = {
    clusters: async () => {
      asked.push('clusters');
      return [];
    },
  };
  for (const given of [
    review(cluster('orders', 'shop', { annotations: { 'cnpg.io/validation': 'disabled' } })),
    review(cluster('orders', 'shop', { deletionTimestamp: '2026-01-01T00:00:00Z' })),
    review(cluster('orders'), { subResource: 'status' }),
    review(null, { operation: 'DELETE', oldObject: cluster('orders') }),
  ]) {
    for (const kind of ['Cluster', 'Backup', 'ScheduledBackup'] as const) {
      assert.equal((await judgeKind(kind, given, { lookUps: spying })).outcome, 'skipped');
    }
  }
  assert.deepEqual(asked, []);
});

/** Each kind, with an object that its door does not let pass without a word. */
const FLAWED = [
  ['ObjectStore', { spec: { configuration: { destinationPath: 's3://b' } } }, 'refused'],
  [
    'Cluster',
    { spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio-store' } }] } },
    'warned',
  ],
  ['Backup', { spec: { pluginConfiguration: { name: PLUGIN_NAME } } }, 'refused'],
  ['ScheduledBackup', { spec: { schedule: '0 2 * * *' } }, 'warned'],
] as const;

for (const [kind, flawed, outcome] of FLAWED) {
  for (const operation of ['CREATE', 'UPDATE']) {
    for (const group of ['example.test', 'postgresql.fork.example']) {
      test(`${kind}: judges ${operation}, in the group ${group}, too`, async () => {
        const backupUpdate = kind === 'Backup' && operation === 'UPDATE';
        const judgement = await judgeKind(kind, review(flawed, { operation, group }), {});
        assert.equal(judgement.outcome, backupUpdate ? 'allowed' : outcome);
      });
    }
  }

  for (const [title, fields] of [
    ['an operation of later', { operation: 'CONNECT' }],
    ['a write of the status', { operation: 'UPDATE', subResource: 'status' }],
    ['an object that is being deleted', { object: { ...flawed, metadata: { deletionTimestamp: '2026-01-01' } } }],
  ] as const) {
    test(`${kind}: does not judge ${title}`, async () => {
      assert.deepEqual(await judgeKind(kind, review(flawed, fields), {}), {
        verdict: { allowed: true, warnings: [] },
        outcome: 'skipped',
        rules: [],
      });
    });
  }

  test(`${kind}: does not judge an object that opts out, and says so once`, async () => {
    const annotated = (value: string) => ({ ...flawed, metadata: { annotations: { 'cnpg.io/validation': value } } });
    assert.deepEqual(await judgeKind(kind, review(annotated('disabled')), {}), {
      verdict: { allowed: true, warnings: ['not validated: metadata.annotations[cnpg.io/validation] is disabled'] },
      outcome: 'skipped',
      rules: [],
    });
    assert.equal((await judgeKind(kind, review(annotated('enabled')), {})).outcome, outcome);
  });
}

test('a refusal carries the errors, and tells the warnings besides', async () => {
  const { verdict, outcome, rules } = await judgeKind('ObjectStore', review(FLAWED[0][1]), {});
  assert.ok(!verdict.allowed);
  assert.deepEqual(
    verdict.problems.map(({ id }) => id),
    ['B1'],
  );
  assert.deepEqual(verdict.warnings, ['spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d']);
  assert.deepEqual([outcome, rules], ['refused', ['B1', 'F4']]);
});
