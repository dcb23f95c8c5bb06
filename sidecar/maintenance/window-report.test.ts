import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecoveryWindow } from '../../api/objectstore.ts';
import type { RecoveryWindowPatch } from '../../api/wire/kube-status.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { plantBackup } from '../../test/planted-backups.ts';
import { listBackups } from '../backup/catalog.ts';
import type { Archive } from '../store/archive.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { createWindowMetrics } from './window-metrics.ts';
import { createWindowReport } from './window-report.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const WINDOW: RecoveryWindow = {
  firstRecoverabilityPoint: '2026-11-10T01:10:00Z',
  lastSuccessfulBackupTime: '2026-11-14T01:10:00Z',
  lastFailedBackupTime: '2026-11-12T01:00:00Z',
};

test('the window of the catalog goes into the status of its server, with seconds, and into the gauges', async () => {
  const { report, patches, gauges } = stage();
  const archive = archiveOf({});
  await report.publish(archive, await listBackups(archive, SIGNAL));
  assert.deepEqual(patches, [['default', 'minio', 'pg', WINDOW]]);
  assert.deepEqual(gauges(), {
    barman_cloud_cloudnative_pg_io_first_recoverability_point: Date.parse('2026-11-10T01:10:00Z') / 1000,
    barman_cloud_cloudnative_pg_io_last_available_backup_timestamp: Date.parse('2026-11-14T01:10:00Z') / 1000,
    barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp: Date.parse('2026-11-12T01:00:00Z') / 1000,
  });
});

const DIFFERENCES: [string, RecoveryWindow, RecoveryWindowPatch | undefined][] = [
  ['nothing is written when nothing has changed', WINDOW, undefined],
  [
    'only what has changed is written',
    { ...WINDOW, firstRecoverabilityPoint: '2026-11-08T01:10:00Z' },
    { firstRecoverabilityPoint: '2026-11-10T01:10:00Z' },
  ],
  ['a later failure that left no record stays', { ...WINDOW, lastFailedBackupTime: '2026-11-15T00:00:00Z' }, undefined],
  [
    'an earlier failure is replaced',
    { ...WINDOW, lastFailedBackupTime: '2026-11-11T00:00:00Z' },
    { lastFailedBackupTime: '2026-11-12T01:00:00Z' },
  ],
];
for (const [title, known, patch] of DIFFERENCES) {
  test(title, async () => {
    const { report, patches } = stage();
    const archive = archiveOf({ pg: known, other: {} });
    await report.publish(archive, await listBackups(archive, SIGNAL));
    assert.deepEqual(
      patches.map(([, , , window]) => window),
      patch === undefined ? [] : [patch],
    );
  });
}

test('what is no more in the catalog is taken back', async () => {
  const { report, patches, gauges } = stage();
  await report.publish(archiveOf({ pg: WINDOW }), []);
  assert.deepEqual(patches[0]?.[3], { firstRecoverabilityPoint: null, lastSuccessfulBackupTime: null });
  assert.equal(gauges().barman_cloud_cloudnative_pg_io_last_available_backup_timestamp, 0);
});

test('a failed backup is shown beside what was known', async () => {
  const { report, patches, gauges } = stage();
  await report.publishFailure(archiveOf({ pg: WINDOW }), new Date('2026-11-20T00:00:00.900Z'));
  assert.deepEqual(patches[0]?.[3], { lastFailedBackupTime: '2026-11-20T00:00:00Z' });
  assert.equal(
    gauges().barman_cloud_cloudnative_pg_io_first_recoverability_point,
    Date.parse('2026-11-10T01:10:00Z') / 1000,
  );
});

test('gauges are 0 before anything is known, and follow the status without writing it', () => {
  const { report, patches, gauges } = stage();
  assert.deepEqual(Object.values(gauges()), [0, 0, 0]);
  report.show(archiveOf({ pg: WINDOW }));
  assert.equal(
    gauges().barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp,
    Date.parse('2026-11-12T01:00:00Z') / 1000,
  );
  report.show(archiveOf({}));
  assert.deepEqual([...Object.values(gauges()), patches.length], [0, 0, 0, 0]);
});

function stage() {
  const metrics = new Metrics();
  const patches: [string, string, string, RecoveryWindowPatch | null][] = [];
  const report = createWindowReport({
    kube: { patchObjectStoreStatus: async (...patch) => void patches.push(patch) },
    namespace: 'default',
    show: createWindowMetrics(metrics),
  });
  const gauges = () => Object.fromEntries(metrics.samples().map(({ name, value }) => [name, value]));
  return { report, patches, gauges };
}

function archiveOf(serverRecoveryWindow: Record<string, RecoveryWindow>): Archive {
  const storage = new FakeStorage();
  plantBackup(storage, { id: 'A', day: 10, begin: 1 });
  plantBackup(storage, { id: 'F', day: 12, begin: 2, info: { status: 'FAILED', endTime: undefined } });
  plantBackup(storage, { id: 'B', day: 14, begin: 3 });
  const archive = fakeArchive(storage);
  return { ...archive, objectStore: { ...archive.objectStore, status: { serverRecoveryWindow } } };
}
