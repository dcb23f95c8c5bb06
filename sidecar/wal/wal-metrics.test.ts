import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseWalName } from '../../api/wal-name.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { createWalMetrics } from './wal-metrics.ts';

const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'wal.md'), 'utf8');

test('what docs/wal.md says of metrics is declared', () => {
  const registry = new Metrics();
  createWalMetrics(registry);
  const declared = new Set(registry.definitions().map(({ name }) => name));
  for (const [, name = ''] of PAGE.matchAll(/`(cellar_wal_\w+)`/g)) assert.ok(declared.has(name), name);
});

test('the last archived segment is told by numbers, and history files leave its place alone', () => {
  const registry = new Metrics();
  const metrics = createWalMetrics(registry, () => 1_795_000_000_500);
  const told = () =>
    ['timestamp_seconds', 'timeline', 'start_lsn_bytes'].map(
      (part) => registry.samples().find(({ name }) => name === `cellar_wal_last_archived_${part}`)?.value,
    );
  const note = (name: string, sizeBytes: number) => {
    const parsed = parseWalName(name);
    assert.ok(parsed !== undefined);
    metrics.lastArchived(parsed, sizeBytes);
  };
  assert.deepEqual(told(), [0, 0, 0]);
  note('00000003.history', 41);
  assert.deepEqual(told(), [1_795_000_000.5, 0, 0]);
  note('000000020000000A000000FE', 16 * 1024 * 1024);
  assert.deepEqual(told(), [1_795_000_000.5, 2, 0xafe000000]);
  note('000000020000000A000000FF.partial', 16 * 1024 * 1024);
  assert.deepEqual(told(), [1_795_000_000.5, 2, 0xafe000000]);
});
