import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../api/errors.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { missingSegments, neededSegments, waitForSegments } from './archived-wal.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const MIB16 = 16 * 1024 * 1024;
const RANGE = { beginTimeline: 1, endTimeline: 1, segmentSizeBytes: MIB16 };

test('needed are all segments from begin to the last byte before the end', () => {
  assert.deepEqual(neededSegments({ ...RANGE, beginLsn: '0/FE000028', endLsn: '1/1000100' }).flat(), [
    '0000000100000000000000FE',
    '0000000100000000000000FF',
    '000000010000000100000000',
    '000000010000000100000001',
  ]);
});

test('an end exactly on a boundary needs no segment that need not exist yet', () => {
  assert.deepEqual(neededSegments({ ...RANGE, beginLsn: '0/2000028', endLsn: '0/3000000' }), [
    ['000000010000000000000002'],
  ]);
});

test('either timeline will do when it changed in between', () => {
  assert.deepEqual(neededSegments({ ...RANGE, endTimeline: 2, beginLsn: '0/2000028', endLsn: '0/2000100' }), [
    ['000000010000000000000002', '000000020000000000000002'],
  ]);
});

test('present is a whole segment in any encoding; neighbours that only look alike do not count', async () => {
  const storage = new FakeStorage();
  const folder = 'backups/pg/wals/0000000100000000/';
  storage.plant(`${folder}000000010000000000000002`, 'raw');
  storage.plant(`${folder}000000010000000000000003.gz`, 'packed');
  storage.plant(`${folder}000000010000000000000004.partial`, 'partial');
  storage.plant(`${folder}000000010000000000000005.00000028.backup.gz`, 'label');
  storage.plant(`${folder}000000010000000000000006.zip`, 'foreign');
  const needed = neededSegments({ ...RANGE, beginLsn: '0/2000028', endLsn: '0/6000028' });
  const missing = await missingSegments(fakeArchive(storage), needed, SIGNAL);
  assert.deepEqual(missing.flat(), [
    '000000010000000000000004',
    '000000010000000000000005',
    '000000010000000000000006',
  ]);
  assert.deepEqual(storage.requests, [`list ${folder}`]);
});

test('waiting ends when the segment arrives', async () => {
  const storage = new FakeStorage();
  let looks = 0;
  storage.before = () => {
    looks++;
    if (looks === 3) storage.plant('backups/pg/wals/0000000100000000/000000010000000000000002.gz', 'x');
  };
  const needed = [['000000010000000000000002']];
  await waitForSegments({
    archive: fakeArchive(storage),
    needed,
    signal: SIGNAL,
    log: silentLog(),
    limitMs: undefined,
  });
  assert.ok(looks >= 3);
});

test('waiting beyond its limit names the segment', async () => {
  const needed = [['000000010000000000000002']];
  const archive = fakeArchive(new FakeStorage());
  const waiting = waitForSegments({ archive, needed, signal: SIGNAL, log: silentLog(), limitMs: 0 });
  const late = (error: unknown) => error instanceof PreconditionError && /000000010000000000000002/.test(error.message);
  await assert.rejects(waiting, late);
});
