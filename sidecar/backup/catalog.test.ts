import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { serverKeys } from '../store/keys.ts';
import { listBackups } from './catalog.ts';
import { type BackupInfo, emptyBackupInfo, formatBackupInfo } from './info.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const DONE: BackupInfo = { ...emptyBackupInfo(), status: 'DONE', beginTime: 2_000_000n, endTime: 3_000_000n };

test('broken, half and foreign folders are marked and never hide the others; order is by begin time', async () => {
  const storage = new FakeStorage();
  plant(storage, 'late', { ...DONE, beginTime: 5_000_000n });
  plant(storage, 'early', DONE);
  plant(storage, 'failed', { ...DONE, status: 'FAILED' });
  plant(storage, 'incremental', { ...DONE, parentBackupId: 'early' });
  plant(storage, 'endless', { ...DONE, endTime: undefined });
  storage.plant('backups/pg/base/half/data.tar.gz', 'x');
  storage.plant('backups/pg/base/broken/backup.info', 'nonsense');
  storage.plant('backups/pg/base/readme.txt', 'nobody reads it');
  storage.plant('backups/pg/base//backup.info', formatBackupInfo(DONE));
  const entries = await listBackups(fakeArchive(storage), SIGNAL);
  assert.deepEqual(
    entries.map(({ id, state }) => `${id} ${state}`),
    ['broken broken', 'half half', 'early done', 'endless other', 'failed other', 'incremental other', 'late done'],
  );
});

test('more folders than are read at a time are all there', async () => {
  const storage = new FakeStorage();
  for (let index = 0; index < 20; index++) plant(storage, `b${index}`, { ...DONE, beginTime: BigInt(index) });
  const entries = await listBackups(fakeArchive(storage), SIGNAL);
  assert.deepEqual(
    entries.map(({ id }) => id),
    Array.from({ length: 20 }, (_, index) => `b${index}`),
  );
});

test('no request has an empty path element, with and without a slash at the end of the destination', async () => {
  for (const prefix of ['backups', 'backups/']) {
    const storage = new FakeStorage();
    plant(storage, 'a', DONE);
    storage.plant('backups/pg/base//backup.info', formatBackupInfo(DONE));
    const entries = await listBackups({ ...fakeArchive(storage), keys: serverKeys(prefix, 'pg') }, SIGNAL);
    assert.equal(entries.length, 1);
    const asked = storage.requests.map((request) => request.slice(request.indexOf(' ') + 1));
    assert.deepEqual(asked, ['backups/pg/base/', 'backups/pg/base/a/backup.info']);
  }
});

test('a store that refuses is an error, not an empty catalog', async () => {
  const storage = new FakeStorage();
  plant(storage, 'a', DONE);
  storage.fail('get', 'refused');
  await assert.rejects(listBackups(fakeArchive(storage), SIGNAL), StoreError);
});

function plant(storage: FakeStorage, id: string, info: BackupInfo): void {
  storage.plant(`backups/pg/base/${id}/backup.info`, formatBackupInfo(info));
}
