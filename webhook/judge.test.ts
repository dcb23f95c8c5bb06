import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../api/names.ts';
import { judgeCluster } from './clusters.ts';
import { judgeObjectStore } from './objectstores.ts';
import type { Review } from './review.ts';

/** Each kind that is judged, with an object that its door does not let pass without a word. */
const DOORS = [
  ['ObjectStore', judgeObjectStore, { spec: { configuration: { destinationPath: 's3://b' } } }, 'refused'],
  [
    'Cluster',
    judgeCluster,
    { spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio-store' } }] } },
    'warned',
  ],
] as const;

for (const [kind, judgeOne, flawed, outcome] of DOORS) {
  const review = (fields: Partial<Review>): Review => ({
    uid: 'u',
    operation: 'CREATE',
    group: 'example.test',
    kind,
    namespace: 'default',
    name: 'a',
    subResource: '',
    object: flawed,
    oldObject: undefined,
    ...fields,
  });

  for (const operation of ['CREATE', 'UPDATE']) {
    test(`${kind}: judges ${operation}`, () => {
      assert.equal(judgeOne(review({ operation })).outcome, outcome);
    });
  }

  for (const [title, fields] of [
    ['a deletion', { operation: 'DELETE', object: null, oldObject: flawed }],
    ['an operation of later', { operation: 'CONNECT' }],
    ['a write of the status', { operation: 'UPDATE', subResource: 'status' }],
    [
      'an object that is being deleted',
      { object: { ...flawed, metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } } },
    ],
  ] as const) {
    test(`${kind}: does not judge ${title}`, () => {
      assert.deepEqual(judgeOne(review(fields)), {
        verdict: { allowed: true, warnings: [] },
        outcome: 'skipped',
        rules: [],
      });
    });
  }

  test(`${kind}: does not judge an object that opts out, and says so once`, () => {
    const annotated = (value: string) => ({ ...flawed, metadata: { annotations: { 'cnpg.io/validation': value } } });
    assert.deepEqual(judgeOne(review({ object: annotated('disabled') })), {
      verdict: {
        allowed: true,
        warnings: ['not validated: metadata.annotations[cnpg.io/validation] is disabled'],
      },
      outcome: 'skipped',
      rules: [],
    });
    assert.equal(judgeOne(review({ object: annotated('enabled') })).outcome, outcome);
  });
}
