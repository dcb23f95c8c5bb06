import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { Metrics } from '../telemetry/metrics.ts';
import { classOf, createWalMetrics } from './wal-metrics.ts';

const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'wal.md'), 'utf8');

test('every metric stands in docs/wal.md, and every one that stands there is declared', () => {
  const registry = new Metrics();
  createWalMetrics(registry);
  const told = [...PAGE.matchAll(/`(cellar_wal_\w+)`/g)].map(([, name]) => name);
  assert.deepEqual(
    [...new Set(told)].sort(),
    registry
      .definitions()
      .map(({ name }) => name)
      .sort(),
  );
});

test('each error has a class, and the page knows it', () => {
  const facts = { provider: 's3', operation: 'put', key: 'k', reason: 'r' };
  const classes = [
    new StoreError({ failure: 'throttled', ...facts }),
    new ConflictError('c'),
    new CorruptError('c'),
    new PreconditionError('p'),
    new InvalidInputError('f', 'v', 'a'),
    new NotFoundError('n'),
    new CancelledError('c'),
    new Error('x'),
  ].map(classOf);
  const [row = ''] = PAGE.match(/^.*cellar_wal_archive_failures_total.*$/m) ?? [];
  assert.equal(new Set(classes).size, classes.length);
  for (const name of classes) assert.ok(row.includes(`\`${name}\``), name);
});
