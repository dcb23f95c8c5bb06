import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PLUGIN_NAME } from '../api/names.ts';
import { judgeCluster } from './clusters.ts';
import type { Review } from './review.ts';

function clusterOf(stanza: object): object {
  return { spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio-store' }, ...stanza }] } };
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

for (const group of ['postgresql.cnpg.io', 'postgresql.fork.example']) {
  test(`admits a Cluster of ${group} that archives undeclared, with a warning`, () => {
    const { verdict, ...found } = judgeCluster(review(clusterOf({ isWALArchiver: false }), { group }));
    assert.deepEqual(found, { outcome: 'warned', rules: ['CL14'] });
    assert.equal(verdict.allowed, true);
    assert.equal(verdict.warnings.length, 1);
    assert.match(verdict.warnings[0] ?? '', /^spec\.plugins\[0\]\.isWALArchiver: found false: .*skipWalArchiving/);
  });
}

test('says nothing about a Cluster that declares its archiver', () => {
  assert.deepEqual(judgeCluster(review(clusterOf({ isWALArchiver: true }))), {
    verdict: { allowed: true, warnings: [] },
    outcome: 'allowed',
    rules: [],
  });
});

test('admits any JSON as a Cluster, and never changes it', () => {
  const operation = fc.constantFrom('CREATE', 'UPDATE', 'DELETE');
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), operation, (object, oldObject, given) => {
      const { verdict } = judgeCluster(review(object, { operation: given, oldObject }));
      assert.ok(verdict.allowed);
      assert.equal(verdict.patch, undefined);
    }),
    { numRuns: 1000 },
  );
});
