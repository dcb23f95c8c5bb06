// docs/metrics.md against what a running sidecar defines, by the call that every scrape makes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { PLUGIN_NAME } from '../api/names.ts';
import {
  type CollectMetricsResult,
  type DefineMetricsResult,
  MetricsClient,
  MetricType_Type as Type,
} from '../api/proto/gen/metrics.ts';
import { STORE_OPERATIONS } from './backup/counted-storage.ts';
import { EVENT_REASONS } from './telemetry/events.ts';
import { FAILURE_CLASSES } from './telemetry/failure-class.ts';

const ROOT = dirname(import.meta.dirname);
const PAGE = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8');
const request = { clusterDefinition: Buffer.from('{"metadata":{"name":"pg"},"spec":{}}') };

const folder = await mkdtemp(join(tmpdir(), 'cellar-metrics-'));
const child = spawn(process.execPath, [join(ROOT, 'main.ts'), 'instance'], {
  env: {
    ...{ PATH: process.env.PATH ?? '', NAMESPACE: 'db', CLUSTER_NAME: 'pg', POD_NAME: 'pg-1' },
    ...{ SPOOL_DIRECTORY: join(folder, 'spool'), PGDATA: join(folder, 'pgdata'), TMPDIR: join(folder, 'tmp') },
    ...{ CELLAR_PLUGINS_FOLDER: folder, CELLAR_SERVICE_ACCOUNT_FOLDER: folder },
    ...{ KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' },
  },
  stdio: ['ignore', 'ignore', 'pipe'],
});
for await (const line of createInterface({ input: child.stderr })) if (line.includes('sidecar started')) break;
child.stderr.resume();
const client = new MetricsClient(`unix:${join(folder, PLUGIN_NAME)}`, credentials.createInsecure());
const { metrics } = await ask<DefineMetricsResult>((done) => client.define(request, done));
const collected = await ask<CollectMetricsResult>((done) => client.collect(request, done));

after(async () => {
  client.close();
  child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

test('every metric has its row, every row its metric: name, kind, labels and words', () => {
  const rows = PAGE.split('\n').filter((line) => /^\| `(cellar|barman_cloud)_/.test(line));
  const defined = metrics.map(({ fqName, help, variableLabels, valueType }) => {
    const kind = valueType?.type === Type.TYPE_COUNTER ? 'counter' : 'gauge';
    return `| \`${fqName}\` | ${kind} | ${variableLabels.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
  });
  assert.deepEqual(rows.map(withOneSpace).sort(), defined.map(withOneSpace).sort());
});

test('every value of a label stands on the page', () => {
  for (const value of [...STORE_OPERATIONS, ...FAILURE_CLASSES, 'ok']) assert.ok(PAGE.includes(`\`${value}\``), value);
});

test('every reason of an Event has its row', () => {
  const rows = [...PAGE.matchAll(/^\| `([A-Z]\w+)` \| (?:Warning|Normal) \|/gm)].map(([, reason]) => reason);
  assert.deepEqual(rows, [...EVENT_REASONS].sort());
});

test('counters end in _total and nothing else does, and all words are sentences', () => {
  for (const { fqName, valueType, help } of metrics) {
    assert.match(fqName, /^[a-z][a-z0-9_]*$/);
    assert.equal(fqName.endsWith('_total'), valueType?.type === Type.TYPE_COUNTER, fqName);
    assert.match(help, /\.$/, fqName);
  }
});

test('a scrape of a sidecar that has done nothing yet shows everything without labels, and 0', () => {
  const plain = metrics.filter(({ variableLabels }) => variableLabels.length === 0).map(({ fqName }) => fqName);
  assert.deepEqual(
    collected.metrics.map(({ fqName, value }) => [fqName, value]),
    plain.map((name) => [name, 0]),
  );
});

function withOneSpace(row: string): string {
  return row.replaceAll(/\s+/g, ' ');
}

function ask<R>(begin: (callback: (error: ServiceError | null, answer: R) => void) => void): Promise<R> {
  return new Promise((resolve, reject) => begin((error, answer) => (error === null ? resolve(answer) : reject(error))));
}
