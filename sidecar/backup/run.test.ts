import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { emptyBackupInfo } from './info.ts';
import { lastSignOfLife, readManifest } from './manifest.ts';
import { type Run, startHeartbeat, storeComplete, storeRunning } from './run.ts';
import { backupSettings } from './settings.ts';
import type { BackupSource } from './source.ts';

const HOUR_MS = 3_600_000;
const SIGNAL = AbortSignal.timeout(10_000);

test('a backup that runs says every hour that it is alive, and nothing after it was stopped', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'Date'], now: Date.parse('2026-11-22T07:30:41Z') });
  const { run, storage, alive } = makeRun();
  await storeRunning(run, [{ oid: 16_384 }]);
  assert.equal(await alive(), '2026-11-22T07:30:41.000Z');
  const heartbeat = startHeartbeat(run);
  for (const hour of ['08', '09']) {
    const puts = storage.requests.length;
    t.mock.timers.tick(HOUR_MS);
    while (storage.requests.length === puts) await new Promise(setImmediate);
    assert.equal(await alive(), `2026-11-22T${hour}:30:41.000Z`);
  }
  const running = await readManifest(run.archive, run.identity.id, SIGNAL);
  assert.deepEqual(running?.uploads, ['16384.tar', 'data.tar']);
  assert.equal(running?.state, 'running');

  t.mock.timers.tick(HOUR_MS);
  await heartbeat.stop();
  await storeComplete(run, [], undefined);
  t.mock.timers.tick(HOUR_MS);
  await new Promise(setImmediate);
  assert.equal((await readManifest(run.archive, run.identity.id, SIGNAL))?.state, 'complete');
  assert.equal(await alive(), '2026-11-22T10:30:41.000Z', 'a complete one without backup.info yet is no dead run');
});

test('a sign of life that the store does not take ends nothing', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { run, storage } = makeRun();
  storage.fail('put', 'refused', 1);
  const heartbeat = startHeartbeat(run);
  t.mock.timers.tick(HOUR_MS);
  await heartbeat.stop();
});

function makeRun() {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  const run: Run = {
    ...{ archive, settings: backupSettings(archive.objectStore, storage.capabilities) },
    ...{ identity: { id: '20261122T073041', name: 'backup-20261122073041' }, source: {} as BackupSource },
    ...{ instance: 'pg-1', pgdata: '/nowhere', startedAt: new Date('2026-11-22T07:30:41Z'), signal: SIGNAL },
    ...{ log: silentLog(), etags: new Map(), phase: 'uploading data', info: emptyBackupInfo(), uploads: [] },
  };
  const alive = async () => {
    const manifest = await readManifest(archive, run.identity.id, SIGNAL);
    return manifest && lastSignOfLife(manifest).toISOString();
  };
  return { run, storage, alive };
}
