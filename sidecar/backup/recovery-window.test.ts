import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { november, plantBackup } from '../../test/planted-backups.ts';
import { listBackups } from './catalog.ts';
import { recoveryWindow } from './recovery-window.ts';
import { toDate } from './timestamp.ts';

test('the first point is the end of the oldest finished backup; last success and last failure are the newest', async () => {
  const storage = new FakeStorage();
  plantBackup(storage, { id: 'incremental', day: 1, begin: 1, info: { parentBackupId: 'A' } });
  plantBackup(storage, { id: 'A', day: 3, begin: 3 });
  plantBackup(storage, { id: 'F1', day: 2, begin: 2, info: { status: 'FAILED', endTime: undefined } });
  plantBackup(storage, { id: 'B', day: 5, begin: 5 });
  plantBackup(storage, { id: 'F2', day: 6, begin: 6, info: { status: 'FAILED', endTime: undefined } });
  plantBackup(storage, { id: 'running', day: 7, begin: 7, info: { status: 'STARTED' } });
  storage.plant('backups/pg/base/broken/backup.info', 'nonsense');
  storage.plant('backups/pg/base/half/data.tar', '');
  assert.deepEqual(recoveryWindow(await listBackups(fakeArchive(storage), AbortSignal.timeout(30_000))), {
    firstRecoverabilityPoint: toDate(november(3, '01:10:00')),
    lastSuccessfulBackupTime: toDate(november(5, '01:10:00')),
    lastFailedBackupTime: toDate(november(6, '01:00:00')),
  });
});

test('an empty catalog knows nothing', () => {
  const nothing = {
    firstRecoverabilityPoint: undefined,
    lastSuccessfulBackupTime: undefined,
    lastFailedBackupTime: undefined,
  };
  assert.deepEqual(recoveryWindow([]), nothing);
});
