import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeObjectStore } from './objectstores.ts';
import type { Review } from './review.ts';

const BROKEN = {
  metadata: { name: 'a' },
  spec: { configuration: { destinationPath: 's3://b' }, retentionPolicy: '1d' },
};
const FINE = {
  metadata: { name: 'a' },
  spec: { configuration: { destinationPath: 's3://b', s3Credentials: { inheritFromIAMRole: true } } },
};

function review(fields: Partial<Review>): Review {
  return {
    uid: 'u',
    operation: 'CREATE',
    group: 'barmancloud.cnpg.io',
    kind: 'ObjectStore',
    namespace: 'default',
    name: 'a',
    subResource: '',
    object: BROKEN,
    oldObject: undefined,
    ...fields,
  };
}

test('refuses with the errors, and tells the warnings besides', () => {
  const { verdict, outcome, rules } = judgeObjectStore(
    review({ object: { ...BROKEN, spec: { ...BROKEN.spec, retentionPolicy: undefined } } }),
  );
  assert.ok(!verdict.allowed);
  assert.deepEqual(
    verdict.problems.map(({ id }) => id),
    ['B1'],
  );
  assert.deepEqual(verdict.warnings, ['spec.retentionPolicy: missing: nothing is ever deleted; set for example 30d']);
  assert.deepEqual([outcome, rules], ['refused', ['B1', 'F4']]);
});

test('admits with warnings', () => {
  const { verdict, outcome } = judgeObjectStore(review({ object: FINE }));
  assert.equal(verdict.allowed, true);
  assert.equal(verdict.warnings.length, 1);
  assert.equal(outcome, 'warned');
});

test('an update is compared with what is stored', () => {
  assert.equal(judgeObjectStore(review({ operation: 'UPDATE', oldObject: FINE })).verdict.allowed, false);
  const { verdict } = judgeObjectStore(review({ operation: 'UPDATE', oldObject: BROKEN }));
  assert.equal(verdict.allowed, true);
  assert.match(verdict.warnings[0] ?? '', /no credentials/);
});
