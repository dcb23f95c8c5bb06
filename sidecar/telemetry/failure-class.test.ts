import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  NotFoundError,
  PreconditionError,
  StoreError,
} from '../../api/errors.ts';
import { classOf, FAILURE_CLASSES } from './failure-class.ts';

test('each error has a class of its own, and all classes are listed', () => {
  const facts = { provider: 's3', operation: 'put', key: 'k', reason: 'r' };
  const failures = ['absent', 'refused', 'throttled', 'broken', 'misconfigured', 'conflict'] as const;
  const classes = [
    ...failures.map((failure) => new StoreError({ failure, ...facts })),
    new ConflictError('c'),
    new CorruptError('c'),
    new PreconditionError('p'),
    new InvalidInputError('f', 'v', 'a'),
    new NotFoundError('n'),
    new CancelledError('c'),
    new Error('x'),
  ].map(classOf);
  assert.deepEqual(classes, FAILURE_CLASSES);
  assert.equal(new Set(classes).size, classes.length);
});
