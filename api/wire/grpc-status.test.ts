import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  NotFoundError,
  PreconditionError,
  StoreError,
  type StoreFailure,
} from '../errors.ts';
import { statusOf } from './grpc-status.ts';
import { KubeError } from './kube-http.ts';

const store = (failure: StoreFailure) =>
  new StoreError({ failure, provider: 's3', operation: 'put', key: 'a/wals/x', reason: 'why' });
const kube = (httpStatus?: number) =>
  new KubeError({ method: 'GET', path: '/api', reason: 'why', ...(httpStatus ? { status: httpStatus } : {}) });

const TABLE: [string, unknown, keyof typeof status, string][] = [
  ['an absent object', store('absent'), 'NOT_FOUND', 'warn'],
  ['a refusing store', store('refused'), 'FAILED_PRECONDITION', 'warn'],
  ['a misconfigured store', store('misconfigured'), 'FAILED_PRECONDITION', 'warn'],
  ['a throttling store', store('throttled'), 'UNAVAILABLE', 'warn'],
  ['a broken connection to the store', store('broken'), 'UNAVAILABLE', 'warn'],
  ['a conflict in the store', store('conflict'), 'ABORTED', 'warn'],
  ['bad input', new InvalidInputError('field', 'x', 'use y'), 'INVALID_ARGUMENT', 'warn'],
  ['a missing precondition', new PreconditionError('no store'), 'FAILED_PRECONDITION', 'warn'],
  ['a conflict of data', new ConflictError('other content'), 'FAILED_PRECONDITION', 'warn'],
  ['a file that is not there', new NotFoundError('00000002.history'), 'NOT_FOUND', 'info'],
  ['corrupt bytes', new CorruptError('short'), 'DATA_LOSS', 'error'],
  ['a caller that went away', new CancelledError('gone'), 'CANCELLED', 'info'],
  ['an API server that does not answer', kube(), 'UNAVAILABLE', 'warn'],
  ['an API server in trouble', kube(503), 'UNAVAILABLE', 'warn'],
  ['an API server that asks for patience', kube(429), 'UNAVAILABLE', 'warn'],
  ['a conflict in the API server', kube(409), 'ABORTED', 'warn'],
  ['a token that is not accepted', kube(401), 'FAILED_PRECONDITION', 'warn'],
  ['a request that the API server does not understand', kube(422), 'INTERNAL', 'error'],
  ['a bug', new TypeError('x is undefined'), 'INTERNAL', 'error'],
  ['something that is no error', 'words', 'INTERNAL', 'error'],
];

for (const [title, thrown, code, level] of TABLE) {
  test(`${title} is answered as ${code} and logged as ${level}`, () => {
    const found = statusOf(thrown);
    assert.deepEqual([status[found.code], found.level], [code, level]);
    assert.equal(found.details, thrown instanceof Error ? thrown.message : 'words');
  });
}

test('shortens a message that would not fit a header', () => {
  const { details } = statusOf(new PreconditionError('x'.repeat(100_000)));
  assert.equal(details.length, 2000);
  assert.ok(details.endsWith('…'));
});
