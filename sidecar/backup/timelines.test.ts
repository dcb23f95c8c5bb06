import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError, StoreError } from '../../api/errors.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { codecByName } from '../stream/codec.ts';
import { compress } from '../stream/whole.ts';
import { latestFrom, leftAt, listTimelines, parseHistory, readLineage } from './timelines.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const WALS = 'backups/pg/wals/';
const THIRD = '1\t0/5000000\tno recovery target specified\n\n# a comment\n2\t0/7000060\tat restore point "x"\n';

test('a history file is read line by line', () => {
  assert.deepEqual(parseHistory(THIRD, 3), [
    { timeline: 1, lsn: 0x5000000n },
    { timeline: 2, lsn: 0x7000060n },
  ]);
  assert.deepEqual(parseHistory('', 1), []);
});

for (const text of [
  '1\n',
  '1\t5000000\tx\n',
  '1\t0/5\tx\n1\t0/6\tx\n',
  '1\t0/6\tx\n2\t0/5\tx\n',
  '3\t0/5\tx\n',
  '<html>',
]) {
  test(`${JSON.stringify(text)} is no history of timeline 3`, () => {
    assert.throws(() => parseHistory(text, 3), CorruptError);
  });
}

for (const name of ['none', 'gzip', 'bzip2', 'lz4', 'snappy', 'xz', 'zstd'] as const) {
  test(`a history stored as ${name} is read`, async () => {
    const storage = new FakeStorage();
    const codec = codecByName(name);
    storage.plant(`${WALS}00000003.history${codec.suffix}`, await compress(codec, Buffer.from(THIRD)));
    const lineage = await readLineage(fakeArchive(storage), 3, SIGNAL);
    assert.ok(lineage !== undefined);
    assert.equal(leftAt(lineage, 1), 0x5000000n);
    assert.equal(leftAt(lineage, 3), undefined);
    assert.equal(leftAt(lineage, 4), 'foreign');
  });
}

test('a form that cannot be read is passed over; with no other left it is an error, and absent is an answer', async () => {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  storage.plant(`${WALS}00000003.history.gz`, 'no gzip');
  await assert.rejects(readLineage(archive, 3, SIGNAL), CorruptError);
  storage.plant(`${WALS}00000003.history.bz2`, await compress(codecByName('bzip2'), Buffer.from(THIRD)));
  assert.equal((await readLineage(archive, 3, SIGNAL))?.ancestors.length, 2);
  assert.equal(await readLineage(archive, 4, SIGNAL), undefined);
  storage.fail('list', 'refused');
  await assert.rejects(readLineage(archive, 4, SIGNAL), StoreError);
});

test('a history that unpacks to more than any has is refused before it fills the memory', async () => {
  const storage = new FakeStorage();
  const huge = await compress(codecByName('gzip'), Buffer.alloc(64 * 1024 * 1024));
  storage.plant(`${WALS}00000003.history.gz`, huge);
  await assert.rejects(readLineage(fakeArchive(storage), 3, SIGNAL), /too large/);
});

test('timelines are found with a request for each, however many segments there are', async () => {
  const storage = new FakeStorage();
  for (let segment = 0; segment < 3000; segment++) {
    const hex = segment.toString(16).toUpperCase().padStart(8, '0');
    storage.plant(`${WALS}0000000100000000/0000000100000000${hex}.gz`, '');
    storage.plant(`${WALS}0000000300000000/0000000300000000${hex}`, '');
    storage.plant(`${WALS}foreign/${segment}`, '');
  }
  storage.plant(`${WALS}00000002.history.gz`, '');
  storage.plant(`${WALS}00000003.history`, '');
  storage.plant(`${WALS}0000000A.history.zst`, '');
  storage.plant(`${WALS}00000004.history.zip`, '');
  storage.plant(`${WALS}foreign/~beyond`, '');
  storage.plant(`${WALS}/00000008.history`, '');
  storage.plant(`${WALS}notes.txt`, '');
  storage.plant('backups/pg/wals2/00000009.history', '');
  const found = await listTimelines(fakeArchive(storage), SIGNAL);
  assert.deepEqual(found, { histories: [2, 3, 10], wal: [1, 3] });
  assert.ok(storage.requests.length < 10, `${storage.requests.length} requests`);
});

test('latest is the last number before a gap, counted from the timeline of the data folder', () => {
  const archived = { histories: [2, 3, 5], wal: [] };
  assert.deepEqual(
    [1, 2, 3, 4, 5, 9].map((timeline) => latestFrom(timeline, archived)),
    [3, 3, 3, 5, 5, 9],
  );
});
