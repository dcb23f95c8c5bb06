// The alerts, as the chart renders them, under promtool's unit tests: each fires when it should and is silent when not.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments, stringify } from 'yaml';
import { helmTemplate, run } from './helm.ts';
import { CHART } from './values.ts';

type Series = Record<string, string>;
/** `fires`: how many alerts after `at`, with the labels that tell them apart. */
type Case = { alert: string; when: string; at: string; series: Series; fires: Record<string, string>[] };

const PROMTOOL = process.env.CELLAR_PROMTOOL || 'promtool';
const POD = 'namespace="shop", pod="db-1"';
const REPLICA = 'namespace="shop", pod="db-2"';
const OF_CLUSTER = { namespace: 'shop', cnpg_cluster: 'db' };
const OF_POD = { namespace: 'shop', pod: 'db-1' };
const AVAILABLE = 'barman_cloud_cloudnative_pg_io_last_available_backup_timestamp';
const FAILED = 'barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp';

const CASES: Case[] = [
  ...firesAfter('CellarNoBackup', '25h', OF_CLUSTER, {
    [`${AVAILABLE}{${POD}}`]: '0x2000',
    [`${AVAILABLE}{${REPLICA}}`]: '0x2000',
  }),
  silent('CellarNoBackup', 'there is one', '25h', { [`${AVAILABLE}{${POD}}`]: '60x2000' }),
  silent('CellarNoBackup', 'one instance has not yet heard of it', '25h', {
    [`${AVAILABLE}{${POD}}`]: '60x2000',
    [`${AVAILABLE}{${REPLICA}}`]: '0x2000',
  }),
  ...firesAfter('CellarBackupTooOld', '31h', OF_CLUSTER, { [`${AVAILABLE}{${POD}}`]: '60x2000' }),
  silent('CellarBackupTooOld', 'there is none at all, which is another alert', '31h', {
    [`${AVAILABLE}{${POD}}`]: '0x2000',
  }),
  silent('CellarBackupTooOld', 'there is a new one each hour', '31h', { [`${AVAILABLE}{${POD}}`]: '0+60x2000' }),
  ...firesAfter('CellarBackupFailed', '10m', OF_CLUSTER, {
    [`${AVAILABLE}{${POD}}`]: '60x20',
    [`${FAILED}{${POD}}`]: '90x20',
  }),
  silent('CellarBackupFailed', 'a later one has completed', '10m', {
    [`${AVAILABLE}{${POD}}`]: '90x20',
    [`${FAILED}{${POD}}`]: '60x20',
  }),
  ...firesAfter('CellarWalWaiting', '20m', OF_POD, { [`cellar_wal_oldest_ready_seconds{${POD}}`]: '0+60x30' }),
  silent('CellarWalWaiting', 'segments wait for a minute', '20m', {
    [`cellar_wal_oldest_ready_seconds{${POD}}`]: '60x30',
  }),
  ...firesAfter(
    'CellarWalArchiveFailing',
    '20m',
    { ...OF_POD, class: 'refused' },
    {
      [`cellar_wal_archive_failures_total{${POD}, class="refused"}`]: '0+1x30',
      [`cellar_wal_archived_files_total{${POD}}`]: '5x30',
    },
  ),
  silent('CellarWalArchiveFailing', 'some get through', '20m', {
    [`cellar_wal_archive_failures_total{${POD}, class="throttled"}`]: '0+1x30',
    [`cellar_wal_archived_files_total{${POD}}`]: '0+1x30',
  }),
  ...firesAfter('CellarMaintenanceFailing', '3h', OF_POD, {
    [`cellar_maintenance_failures_total{${POD}, class="refused"}`]: '0+0.05x400',
  }),
  silent('CellarMaintenanceFailing', 'one round failed', '3h', {
    [`cellar_maintenance_failures_total{${POD}, class="refused"}`]: '0 1x400',
  }),
  ...firesAfter('CellarRestoreWaiting', '15m', OF_POD, { [`cellar_wal_restores_waiting{${POD}}`]: '1x30' }),
  silent('CellarRestoreWaiting', 'it came back', '15m', { [`cellar_wal_restores_waiting{${POD}}`]: '1x5 0x30' }),
  ...firesAfter(
    'CellarCertificateExpiring',
    '20m',
    { namespace: 'cnpg-system', use: 'webhook' },
    {
      'cellar_certificate_expiry_timestamp_seconds{namespace="cnpg-system", use="webhook"}': '500000x30',
      'cellar_certificate_expiry_timestamp_seconds{namespace="cnpg-system", use="server"}': '900000x30',
    },
  ),
];

type Dashboard = { panels: { targets?: { expr: string }[] }[] };
type Rule = { alert: string; labels: object };
const groups = renderedGroups();
const rules = groups.flatMap(({ rules }) => rules);

for (const item of CASES) {
  test(`${item.alert} ${item.fires.length > 0 ? 'fires' : 'is silent'}: ${item.when}`, () => {
    const { status, stdout, stderr } = testAlerts([item]);
    assert.equal(status, 0, `${stdout}${stderr}`);
  });
}

test('every alert has a test, and carries the labels of the values', () => {
  for (const { alert, labels } of rules) {
    assert.ok(
      CASES.some((item) => item.alert === alert && item.fires.length > 0),
      alert,
    );
    assert.equal((labels as { team: string }).team, 'databases');
  }
});

test('promtool reads every question of the dashboard', () => {
  const dashboard = JSON.parse(readFileSync(join(CHART, 'files/dashboard.json'), 'utf8')) as Dashboard;
  const asked = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  assert.ok(asked.length > 15);
  const records = asked.map((expr, index) => ({ record: `question_${index}`, expr }));
  const folder = mkdtempSync(join(tmpdir(), 'cellar-dashboard-'));
  try {
    writeFileSync(join(folder, 'rules.yaml'), stringify({ groups: [{ name: 'dashboard', rules: records }] }));
    const { status, stdout, stderr } = run(PROMTOOL, ['check', 'rules', join(folder, 'rules.yaml')]);
    assert.equal(status, 0, `${stdout}${stderr}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function firesAfter(alert: string, at: string, labels: Record<string, string>, series: Series): Case[] {
  return [
    { alert, when: `after ${at}`, at, series, fires: [labels] },
    { alert, when: 'not before its time', at: '1m', series, fires: [] },
  ];
}

function silent(alert: string, when: string, at: string, series: Series): Case {
  return { alert, when, at, series, fires: [] };
}

function testAlerts(cases: Case[]) {
  const folder = mkdtempSync(join(tmpdir(), 'cellar-alerts-'));
  try {
    writeFileSync(join(folder, 'rules.yaml'), stringify({ groups }));
    const tests = cases.map(({ alert, at, series, fires }) => ({
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      // Texts are left to the golden file: only what tells alerts apart is compared.
      promql_expr_test: [
        {
          expr: `count by (${labelNames(fires)}) (ALERTS{alertname="${alert}", alertstate="firing"})`,
          eval_time: at,
          exp_samples: fires.map((labels) => ({ labels: selector(labels), value: 1 })),
        },
      ],
    }));
    writeFileSync(
      join(folder, 'test.yaml'),
      stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }),
    );
    return run(PROMTOOL, ['test', 'rules', join(folder, 'test.yaml')]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function labelNames(fires: Record<string, string>[]): string {
  return Object.keys(fires[0] ?? {}).join(', ');
}

function selector(labels: Record<string, string>): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ')}}`;
}

function renderedGroups(): { rules: Rule[] }[] {
  const { status, stdout, stderr } = helmTemplate(['--values', join(import.meta.dirname, 'values/observed.yaml')]);
  assert.equal(status, 0, stderr);
  const manifests = parseAllDocuments(stdout).map((document) => document.toJS());
  return manifests.find(({ kind }) => kind === 'PrometheusRule').spec.groups;
}
