import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../../api/kube.ts';
import { silentLog } from '../../api/wire/log.ts';
import { createArchivingNews } from './archiving-news.ts';

const CLUSTER: Cluster = { metadata: { name: 'pg' }, spec: {} };

function stage(goesOut = () => true) {
  const told: string[] = [];
  const clock = { ms: Date.parse('2026-11-25T10:00:00.500Z') };
  const events = {
    warn: (_cluster: Cluster, reason: string, message: string) => {
      told.push(`${reason}: ${message}`);
      return goesOut();
    },
    inform: (_cluster: Cluster, reason: string, message: string) => void told.push(`${reason}: ${message}`),
    settled: async () => undefined,
  };
  return { news: createArchivingNews(events, silentLog(), () => clock.ms), told, clock };
}

test('each failure tells since when and why, and the first success that it is over', () => {
  const { news, told, clock } = stage();
  news.succeeded(CLUSTER);
  news.failed(CLUSTER, new Error('no bucket'));
  clock.ms += 60_000;
  news.failed(CLUSTER, new Error('no credentials'));
  news.succeeded(CLUSTER);
  news.succeeded(CLUSTER);
  assert.deepEqual(told, [
    'ArchivingFailed: archiving has failed since 2026-11-25T10:00:00Z: no bucket',
    'ArchivingFailed: archiving has failed since 2026-11-25T10:00:00Z: no credentials',
    'ArchivingResumed: archiving goes on again; it had failed since 2026-11-25T10:00:00Z, 2 times',
  ]);
});

test('a new trouble begins anew', () => {
  const { news, told, clock } = stage();
  news.failed(CLUSTER, new Error('a'));
  news.succeeded(CLUSTER);
  clock.ms += 1000;
  news.failed(CLUSTER, new Error('b'));
  assert.match(told.at(-1) ?? '', /since 2026-11-25T10:00:01Z: b/);
});

test('the end of a trouble is told only where its begin was', () => {
  const answers = [false, true, false];
  const { news, told } = stage(() => answers.shift() ?? false);
  news.failed(CLUSTER, new Error('a'));
  news.succeeded(CLUSTER);
  assert.equal(told.length, 1);
  news.failed(CLUSTER, new Error('a'));
  news.failed(CLUSTER, new Error('a'));
  news.succeeded(CLUSTER);
  assert.match(told.at(-1) ?? '', /^ArchivingResumed/);
});
