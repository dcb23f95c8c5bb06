import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreconditionError } from '../../../api/errors.ts';
import type { RecoveryTarget } from '../../../api/kube.ts';
import { parseLsn } from '../../../api/wal-name.ts';
import { FakeStorage, fakeArchive } from '../../../test/fake-storage.ts';
import type { DoneEntry } from '../../backup/catalog.ts';
import { emptyBackupInfo } from '../../backup/info.ts';
import { assertArchiveReaches, segmentNames } from './end-of-archive.ts';

const MIB = 1024 * 1024;
const ENTRY: DoneEntry = { id: '20261122T073041', state: 'done', info: { ...emptyBackupInfo(), timeline: 1 } };
const NEWEST = '2026-11-22T08:00:00Z';

test('an LSN is reached when the segment that holds it is there, whole or as far as it was written', async () => {
  const storage = history();
  await reach(storage, { targetLSN: '0/4FFFFFF' });
  storage.plant('backups/pg/wals/0000000100000000/000000010000000000000005.partial.gz', 'x');
  await reach(storage, { targetLSN: '0/5000028' });
});

test('an LSN beyond the archive is refused, with the name of its segment and of the newest', async () => {
  await assert.rejects(
    reach(history(), { targetLSN: '0/5000000' }),
    (error) =>
      error instanceof PreconditionError &&
      /targetLSN 0\/5000000: it lies in 000000010000000000000005; the newest archived segment is 000000010000000000000004, stored at 2026-11-22 08:00:00\+00:00; choose an earlier/.test(
        error.message,
      ),
  );
});

test('an LSN is looked for on the way to the timeline only', async () => {
  const storage = history();
  plant(storage, '000000020000000000000003', NEWEST);
  storage.plant('backups/pg/wals/00000002.history', '1\t0/3000100\tno recovery target specified\n');
  await reach(storage, { targetLSN: '0/2000028' }, 2);
  await reach(storage, { targetLSN: '0/3000028' }, 2);
  // Segment 4 is there on timeline 1, which was left before it.
  await assert.rejects(
    reach(storage, { targetLSN: '0/4000028' }, 2),
    /it lies in 000000020000000000000004; the newest/,
  );
});

test('a time is reached up to a quarter of an hour behind the newest archived segment', async () => {
  const storage = history();
  for (const targetTime of ['2026-11-22 08:14:59Z', '2026-11-22T09:00:30+01:00', '2026-11-22T08:00:00']) {
    await reach(storage, { targetTime });
  }
  await assert.rejects(
    reach(storage, { targetTime: '2026-11-22 08:15:01Z' }),
    /targetTime.*nothing that late.*2026-11-22 08:00:00/,
  );
});

test('history files, labels and strangers do not count as WAL', async () => {
  const storage = history();
  for (const name of [
    '0000000100000000/000000010000000000000002.00000028.backup',
    '0000000A.history',
    '0000000100000000/x',
  ]) {
    storage.plant(`backups/pg/wals/${name}`, 'x');
  }
  await assert.rejects(reach(storage, { targetTime: '2026-11-22 09:00:00Z' }), PreconditionError);
});

test('a new timeline without WAL of its own is as long as the one before', async () => {
  const storage = history();
  storage.plant('backups/pg/wals/00000002.history', '1\t0/5000000\treason\n');
  await reach(storage, { targetTime: '2026-11-22 07:59:00Z' }, 2);
  await assert.rejects(reach(storage, { targetTime: '2026-11-22 09:00:00Z' }, 2), PreconditionError);
});

test('an archive without WAL is as short as can be for an LSN', async () => {
  await assert.rejects(reach(new FakeStorage(), { targetLSN: '0/2000028' }), /there is no WAL of that timeline/);
});

test('what nobody can tell without reading all WAL is not refused, and nothing is asked', async () => {
  const storage = history();
  for (const target of [undefined, {}, { targetName: 'x' }, { targetXID: '7' }, { targetImmediate: true }]) {
    await reach(storage, target);
  }
  assert.deepEqual(storage.requests, []);
});

test('the segment that a timeline was left in is looked for on both', () => {
  const lineage = { timeline: 3, ancestors: [lsn(1, '0/3000100'), lsn(2, '0/5000000')] };
  const at = (position: string) =>
    segmentNames(lineage, parseLsn(position), 16 * MIB).map((name) => `${Number(name.slice(0, 8))}/${name.at(-1)}`);
  assert.deepEqual(at('0/2FFFFFF'), ['1/2']);
  assert.deepEqual(at('0/3000028'), ['1/3', '2/3']);
  assert.deepEqual(at('0/4000028'), ['2/4']);
  assert.deepEqual(at('0/5000028'), ['2/5', '3/5']);
  assert.deepEqual(at('0/6000028'), ['3/6']);
});

function lsn(timeline: number, position: string) {
  return { timeline, lsn: parseLsn(position) };
}

/** Timeline 1, segments 2 to 4. */
function history(): FakeStorage {
  const storage = new FakeStorage();
  for (const [segment, at] of [
    ['2', '2026-11-22T07:30:00Z'],
    ['3', '2026-11-22T07:45:00Z'],
    ['4', NEWEST],
  ] as const) {
    plant(storage, `00000001000000000000000${segment}`, at);
  }
  return storage;
}

function plant(storage: FakeStorage, name: string, lastModified: string): void {
  const key = `backups/pg/wals/${name.slice(0, 16)}/${name}.gz`;
  storage.plant(key, 'wal');
  Object.assign(storage.objects.get(key) ?? {}, { lastModified: new Date(lastModified) });
}

function reach(storage: FakeStorage, target: RecoveryTarget | undefined, timeline = 1): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  return assertArchiveReaches({ archive: fakeArchive(storage), entry: ENTRY, target, timeline, signal });
}
