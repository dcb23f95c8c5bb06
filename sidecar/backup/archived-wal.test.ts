import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../api/errors.ts';
import { createLog, silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { missingSegments, neededSegments, type WalWait, waitForSegments } from './archived-wal.ts';

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

test('either timeline will do when it changed in between, but for the last segment', () => {
  assert.deepEqual(neededSegments({ ...RANGE, endTimeline: 2, beginLsn: '0/2000028', endLsn: '0/3000100' }), [
    ['000000010000000000000002', '000000020000000000000002'],
    ['000000020000000000000003'],
  ]);
});

test('a page of history is found in every encoding, and missed where it is not', async () => {
  for (const [form, missing] of [
    ['00000002.history', 0],
    ['00000002.history.gz', 0],
    ['00000002.history.zst', 0],
    ['00000003.history', 1],
  ] as const) {
    const storage = new FakeStorage();
    storage.plant(`backups/pg/wals/${form}`, 'x');
    const found = await missingSegments(fakeArchive(storage), [['00000002.history']], SIGNAL);
    assert.equal(found.length, missing, form);
  }
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

test('a segment is found in every encoding, also where its partial form would do', async () => {
  const name = '000000010000000000000004';
  for (const form of ['', '.gz', '.snappy', '.xz', '.zst', '.partial', '.partial.zst']) {
    const storage = new FakeStorage();
    storage.plant(`${FOLDER}${name}${form}`, 'x');
    const missing = await missingSegments(fakeArchive(storage), [[name, `${name}.partial`]], SIGNAL);
    assert.deepEqual(missing, [], form);
  }
});

const TWO = [['000000010000000000000002'], ['000000010000000000000003']];
const FOLDER = 'backups/pg/wals/0000000100000000/';

test('waiting ends when the segment arrives', async () => {
  const storage = new FakeStorage();
  let looks = 0;
  storage.before = () => {
    looks++;
    if (looks === 3) storage.plant(`${FOLDER}000000010000000000000002.gz`, 'x');
  };
  await waitForSegments({ ...wait(storage), needed: TWO.slice(0, 1) });
  assert.ok(looks >= 3);
});

test('waiting beyond half an hour names the segment and who should have archived it', async () => {
  for (const [archivedBy, hint] of [
    ['this server', /WAL archiving is broken: pg_stat_archiver/],
    ['the primary', /WAL archiving of the primary/],
  ] as const) {
    const { lines, clock, end } = await watched(archivedBy, () => undefined);
    const late = (error: unknown) =>
      error instanceof PreconditionError && /000000010000000000000002/.test(error.message) && hint.test(error.message);
    await assert.rejects(end(), late);
    assert.ok(clock.ms > 30 * 60_000 && clock.ms < 31 * 60_000, `${clock.ms} ms`);
    assert.ok(lines.length >= 50 && lines.length <= 61, `${lines.length} lines`);
    assert.match(lines[0] ?? '', new RegExp(`waiting until ${archivedBy} has archived the WAL`));
  }
});

test('on a primary the limit begins anew with each segment, on a standby it does not', async () => {
  for (const archivedBy of ['this server', 'the primary'] as const) {
    const { end } = await watched(archivedBy, (storage, ms) => {
      if (ms > 20 * 60_000) storage.plant(`${FOLDER}000000010000000000000002.gz`, 'x');
      if (ms > 40 * 60_000) storage.plant(`${FOLDER}000000010000000000000003.gz`, 'x');
    });
    if (archivedBy === 'this server') await end();
    else await assert.rejects(end(), /000000010000000000000003 did not reach/);
  }
});

/** A wait on a clock that only sleeping moves; `each` runs before each look. */
async function watched(archivedBy: WalWait['archivedBy'], each: (storage: FakeStorage, ms: number) => void) {
  const storage = new FakeStorage();
  const clock = { ms: 0 };
  const lines: string[] = [];
  storage.before = () => each(storage, clock.ms);
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  const sleep = async (ms: number) => {
    clock.ms += ms;
  };
  const waiting = waitForSegments({ ...wait(storage), log, archivedBy, clock: { now: () => clock.ms, sleep } });
  // It has ended when the test judges it.
  await waiting.catch(() => undefined);
  return { clock, lines, end: () => waiting };
}

function wait(storage: FakeStorage) {
  const archivedBy = 'this server' as const;
  return { archive: fakeArchive(storage), needed: TWO, signal: SIGNAL, log: silentLog(), archivedBy };
}
