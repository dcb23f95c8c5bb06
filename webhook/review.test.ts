import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Problem } from '../api/problems.ts';
import { answerReview, readReview } from './review.ts';

const REVIEW = {
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'u-1',
    kind: { group: 'barmancloud.cnpg.io', version: 'v1', kind: 'ObjectStore' },
    operation: 'CREATE',
    namespace: 'default',
    object: { metadata: { name: 'minio-store' } },
  },
};

function problem(path: string): Problem {
  return { id: 'X1', severity: 'error', path, found: '1', message: 'found 1: write 2', reason: 'FieldValueInvalid' };
}

test('reads what is asked, the name from the object when the request has none', () => {
  const { object, oldObject, ...rest } = readReview(REVIEW);
  assert.deepEqual(object, REVIEW.request.object);
  assert.equal(oldObject, undefined);
  assert.deepEqual(rest, {
    uid: 'u-1',
    group: 'barmancloud.cnpg.io',
    kind: 'ObjectStore',
    operation: 'CREATE',
    namespace: 'default',
    name: 'minio-store',
    subResource: '',
  });
});

for (const [title, body, message] of [
  ['no object', [REVIEW], /^body: found "a list"/],
  ['another kind', { ...REVIEW, kind: 'Pod' }, /^kind: found "Pod": must be AdmissionReview/],
  ['another version', { ...REVIEW, apiVersion: 'admission.k8s.io/v1beta1' }, /^apiVersion: found .*v1beta1/],
  ['no request', { ...REVIEW, request: null }, /^request: missing/],
  ['no uid', { ...REVIEW, request: { ...REVIEW.request, uid: undefined } }, /^request.uid: missing/],
  ['an empty uid', { ...REVIEW, request: { ...REVIEW.request, uid: '' } }, /^request.uid: found/],
  ['a uid that is no string', { ...REVIEW, request: { ...REVIEW.request, uid: 7 } }, /^request.uid: found "a number"/],
] as const) {
  test(`refuses a review with ${title}`, () => {
    assert.throws(() => readReview(body), { name: 'InvalidInputError', message });
  });
}

test('an allowing answer has the uid and nothing that it does not need', () => {
  assert.deepEqual(answerReview(readReview(REVIEW), { allowed: true, warnings: [], patch: [] }), {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: 'u-1', allowed: true },
  });
});

test('a patch goes as base64 JSON', () => {
  const patch = [{ op: 'add' as const, path: '/a', value: 'ä' }];
  const { response } = answerReview(readReview(REVIEW), { allowed: true, warnings: [], patch });
  assert.equal(response.patchType, 'JSONPatch');
  assert.deepEqual(JSON.parse(Buffer.from(response.patch ?? '', 'base64').toString()), patch);
});

test('a refusal carries every problem in its message and as causes, and the warnings besides', () => {
  const verdict = {
    allowed: false as const,
    warnings: ['spec.w: w'],
    problems: [problem('spec.a'), problem('spec.b')],
  };
  const { response } = answerReview(readReview(REVIEW), verdict);
  assert.equal(response.allowed, false);
  assert.deepEqual(response.warnings, ['spec.w: w']);
  assert.deepEqual(response.status, {
    status: 'Failure',
    code: 422,
    reason: 'Invalid',
    message: '2 problems:\n* spec.a: found 1: write 2\n* spec.b: found 1: write 2',
    details: {
      name: 'minio-store',
      group: 'barmancloud.cnpg.io',
      kind: 'ObjectStore',
      causes: [
        { reason: 'FieldValueInvalid', field: 'spec.a', message: 'found 1: write 2' },
        { reason: 'FieldValueInvalid', field: 'spec.b', message: 'found 1: write 2' },
      ],
    },
  });
});

test('an answer stays small, however much is wrong', () => {
  const problems = Array.from({ length: 50_000 }, (_, index) => problem(`spec.a[${index}]`));
  const refused = answerReview(readReview(REVIEW), { allowed: false, warnings: [], problems }).response.status;
  assert.equal(refused?.details.causes.length, 100);
  assert.match(refused?.message ?? '', /^50000 problems:\n[\s\S]*\n\* and 49900 more$/);
  const warnings = Array.from({ length: 1000 }, () => `one\ntwo ${'x'.repeat(500)}`);
  const told = answerReview(readReview(REVIEW), { allowed: true, warnings }).response.warnings ?? [];
  assert.equal(told.length, 200);
  assert.match(told[0] ?? '', /^one two x{191}…$/);
});
