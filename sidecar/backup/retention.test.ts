import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError, StoreError } from '../../api/errors.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { KEYS, november, plantBackup, plantHistory, plantWal, segment, walKey } from '../../test/planted-backups.ts';
import { serverKeys } from '../store/keys.ts';
import type { StoreDeleteFailure } from '../store/store.ts';
import { listBackups } from './catalog.ts';
import { formatManifest } from './manifest.ts';
import { runRetention } from './retention.ts';
import { toDate } from './timestamp.ts';

const SIGNAL = AbortSignal.timeout(120_000);
// The window of 5 days begins on the 15th at noon.
const NOW = toDate(november(20, '12:00:00'));
const [A, B, C, D] = ['20261108T010000', '20261110T010000', '20261114T010000', '20261119T010000'] as const;

test('leaves the backups of the window, what is kept, and the WAL that they need; says of each why', async () => {
  const storage = worldOf();
  const report = await retain(storage);
  assert.deepEqual(report.deleted.map(({ id }) => id).sort(), [B, '20261109T010000'].sort());
  assert.deepEqual(
    report.kept.map(({ id, reason }) => `${id}: ${reason}`),
    [
      `${A}: keep annotation: standalone`,
      `${C}: the recovery window begins with it`,
      `${D}: ended inside the recovery window`,
    ],
  );
  const wal = [...storage.objects.keys()]
    .filter((key) => key.startsWith(KEYS.wals))
    .map((key) => key.split('/').at(-1));
  const expected = [
    '00000002.history.gz',
    ...[3, 4, 5].map((number) => `${segment(1, number)}.gz`),
    ...Array.from({ length: 11 }, (_, index) => `${segment(1, 20 + index)}.gz`),
    'notes.txt',
    ...[25, 26].map((number) => `${segment(2, number)}.gz`),
  ];
  assert.deepEqual(wal.sort(), expected.sort());
  assert.equal(report.walFilesDeleted, 18);
  assert.equal(report.locked.count, 0);
  for (const id of [B, '20261109T010000']) assert.deepEqual(below(storage, KEYS.backup(id)), []);
});

test('with nothing to do it changes nothing', async () => {
  const storage = worldOf();
  await retain(storage);
  const before = [...storage.objects.keys()];
  const report = await retain(storage);
  assert.deepEqual([report.deleted, report.walFilesDeleted], [[], 0]);
  assert.deepEqual([...storage.objects.keys()], before);
});

test('until a backup is as old as the window, no WAL goes', async () => {
  const storage = new FakeStorage();
  plantBackup(storage, { id: D, day: 19, begin: 25 });
  plantWal(storage, 1, 0, 30);
  const report = await retain(storage);
  assert.deepEqual([report.deleted, report.walFilesDeleted], [[], 0]);
  assert.match(report.walKept ?? '', /as old as the recovery window/);
});

test('interrupted at any request, what is listed can be restored, and the next run finishes', async () => {
  const whole = worldOf();
  await retain(whole);
  const requests = whole.requests.length;
  assert.ok(requests > 20);
  for (let stopAt = 1; stopAt <= 2 * requests; stopAt++) {
    const storage = worldOf();
    let count = 0;
    storage.before = (verb, key) => {
      if (++count !== Math.ceil(stopAt / 2)) return;
      // A batch may have been half done, in any order.
      const keys = verb === 'delete' ? key.split(' ') : [];
      if (stopAt % 2 === 0) keys.reverse();
      for (const gone of keys.slice(0, keys.length / 2)) storage.objects.delete(gone);
      throw new Error('killed');
    };
    await assert.rejects(retain(storage), /killed/);
    storage.before = undefined;
    await assertListedIsWhole(storage);
    await retain(storage);
    assert.deepEqual([...storage.objects.keys()].sort(), [...whole.objects.keys()].sort(), `killed at ${stopAt}`);
  }
});

test('objects under a lock are kept and reported, in one attempt each', async () => {
  const tar = KEYS.data(B, 1, '.gz');
  const wal = walKey(segment(1, 9));
  const storage = worldOf(new LockingStorage([tar, wal]));
  const report = await retain(storage);
  assert.deepEqual(report.locked.examples, [
    { key: tar, reason: 'AccessDenied: object is locked' },
    { key: wal, reason: 'AccessDenied: object is locked' },
  ]);
  assert.equal(report.locked.count, 2);
  assert.deepEqual(below(storage, KEYS.backup(B)), [KEYS.deletionMarker(B), tar]);
  assert.ok(storage.objects.has(wal));
  storage.locked.clear();
  const next = await retain(storage);
  assert.deepEqual(next.deleted, [{ id: B, reason: 'its deletion had begun' }]);
  assert.deepEqual([below(storage, KEYS.backup(B)), storage.objects.has(wal)], [[], false]);
});

test('a backup whose backup.info is under a lock stays whole, with its WAL', async () => {
  const storage = worldOf(new LockingStorage([KEYS.backupInfo(B)]));
  const report = await retain(storage);
  assert.deepEqual(
    report.kept.filter(({ id }) => id === B),
    [{ id: B, reason: 'the store would not delete it' }],
  );
  await assertListedIsWhole(storage);
  assert.ok(!storage.objects.has(KEYS.deletionMarker(B)));
});

test('a folder of any size goes in batches that every store takes', async () => {
  const storage = worldOf();
  for (let part = 2; part < 2500; part++) storage.plant(KEYS.data(B, part, '.gz'), '');
  await retain(storage);
  assert.deepEqual(below(storage, KEYS.backup(B)), []);
  const sizes = storage.requests
    .filter((request) => request.startsWith('delete '))
    .map((request) => request.split(' ').length - 1);
  assert.ok(Math.max(...sizes) <= 1000);
});

test('entries that cannot be read and folders of others stay and stop nothing', async () => {
  const storage = worldOf();
  storage.plant(`${KEYS.base}20261101T000000/backup.info`, 'nonsense');
  storage.plant(`${KEYS.base}mine/notes.txt`, 'x');
  storage.plant(`${KEYS.base}readme.txt`, 'x');
  age(storage, `${KEYS.base}mine/notes.txt`, 1);
  const report = await retain(storage);
  assert.deepEqual(report.deleted.map(({ id }) => id).sort(), ['20261109T010000', B]);
  for (const key of ['20261101T000000/backup.info', 'mine/notes.txt', 'readme.txt']) {
    assert.ok(storage.objects.has(`${KEYS.base}${key}`), key);
  }
});

test('a folder without backup.info goes a day after its newest object, or after the start that its manifest tells', async () => {
  const storage = worldOf();
  const [dead, alive, begun] = ['20261118T000000', '20261118T000001', '20261118T000002'] as const;
  for (const id of [dead, alive, begun]) {
    storage.plant(KEYS.data(id, 0, '.gz'), 'tar');
    age(storage, KEYS.data(id, 0, '.gz'), 18);
  }
  storage.plant(KEYS.data(alive, 1, '.gz'), 'tar');
  age(storage, KEYS.data(alive, 1, '.gz'), 20);
  storage.plant(KEYS.manifest(begun), manifest('2026-11-20T00:00:00Z'));
  storage.plant(KEYS.manifest(dead), manifest('2026-11-18T00:00:00Z'));
  const report = await retain(storage);
  const found = report.deleted.map(({ id }) => id);
  assert.deepEqual(
    [dead, alive, begun].map((id) => found.includes(id)),
    [true, false, false],
  );
});

test('a folder that gets its backup.info meanwhile stays, and no WAL goes', async () => {
  const storage = worldOf();
  const id = '20261118T000000';
  storage.plant(KEYS.data(id, 0, '.gz'), 'tar');
  age(storage, KEYS.data(id, 0, '.gz'), 18);
  storage.before = (verb, key) => {
    if (verb === 'head' && key === KEYS.backupInfo(id)) plantBackup(storage, { id, day: 18, begin: 1 });
  };
  const report = await retain(storage);
  assert.deepEqual(
    report.kept.filter((kept) => kept.id === id),
    [{ id, reason: 'it has just been finished' }],
  );
  assert.match(report.walKept ?? '', new RegExp(id));
  assert.equal(report.walFilesDeleted, 0);
});

test('no request has an empty path element, and what barman keeps under such a key is kept', async () => {
  for (const prefix of ['backups', 'backups/']) {
    const storage = worldOf(new RecordingStorage());
    storage.plant(`backups//pg/base/${B}/annotations/keep`, 'standalone');
    storage.plant('backups//other/base/X/annotations/keep', 'full');
    storage.plant('backups/-/x', '');
    const report = await retain(storage, prefix);
    const reasons = report.kept.filter(({ id }) => id === B).map(({ reason }) => reason);
    assert.deepEqual(reasons, ['keep annotation: standalone']);
    assert.ok(storage.objects.has(walKey(segment(1, 10))) && !storage.objects.has(walKey(segment(1, 12))));
    const asked = [...storage.requests.map((request) => request.slice(request.indexOf(' ') + 1)), ...storage.starts];
    assert.deepEqual(
      asked.filter((key) => /^\/|\/\//.test(key)),
      [],
    );
  }
});

test('a policy of the store that allows the folder of the server only is enough', async () => {
  const storage = worldOf();
  storage.before = (_verb, key) => {
    if (key.split(' ').every((one) => one.startsWith(KEYS.server))) return;
    throw new StoreError({ failure: 'refused', provider: 'fake', operation: 'list', key, reason: 'AccessDenied' });
  };
  assert.equal((await retain(storage)).deleted.length, 2);
});

test('uploads that were open for too long are aborted, those of a dead run by their exact keys; a refusal stops nothing', async () => {
  const storage = worldOf(new UploadStorage());
  const dead = '20261118T000000';
  storage.plant(KEYS.manifest(dead), manifest('2026-11-18T00:00:00Z'));
  storage.plant(KEYS.data(dead, 0, '.gz'), 'tar');
  age(storage, KEYS.data(dead, 0, '.gz'), 18);
  // It began as long ago, but something has come since: it may be running.
  const slow = '20261118T000001';
  storage.plant(KEYS.manifest(slow), manifest('2026-11-18T00:00:00Z'));
  storage.plant(KEYS.data(slow, 0, '.gz'), 'tar');
  age(storage, KEYS.data(slow, 0, '.gz'), 20);
  await retain(storage);
  assert.equal(storage.asked.get(KEYS.wals)?.toISOString(), '2026-11-19T12:00:00.000Z');
  assert.equal(storage.asked.get(KEYS.base)?.toISOString(), '2026-11-13T12:00:00.000Z');
  assert.ok(storage.asked.has(KEYS.data(dead, 0, '.gz')) && storage.asked.has(KEYS.data(dead, 1, '.gz')));
  assert.ok(![...storage.asked.keys()].some((key) => key.startsWith(KEYS.backup(slow))));
  const refusing = worldOf(new UploadStorage(true));
  assert.equal((await retain(refusing)).deleted.length, 2);
});

test('an upload of a run that goes on is none that has been open for too long', async () => {
  const storage = worldOf(new UploadStorage());
  const slow = '20261110T000001';
  storage.plant(KEYS.manifest(slow), manifest('2026-11-10T00:00:01Z'));
  storage.plant(KEYS.data(slow, 0, '.gz'), 'tar');
  age(storage, KEYS.data(slow, 0, '.gz'), 20);
  await retain(storage);
  assert.equal(storage.asked.get(KEYS.base)?.toISOString(), '2026-11-10T00:00:01.000Z');
});

test('a store in trouble is an error, and so is a policy that is none', async () => {
  const storage = worldOf();
  storage.fail('delete', 'throttled');
  await assert.rejects(retain(storage), StoreError);
  storage.before = (_verb, key) => {
    if (key === 'backups/')
      throw new StoreError({ failure: 'broken', provider: 'fake', operation: 'list', key, reason: 'x' });
  };
  await assert.rejects(retain(storage), StoreError);
  const archive = fakeArchive(storage);
  const run = { archive, now: NOW, signal: SIGNAL, log: silentLog() };
  await assert.rejects(runRetention({ ...run, policy: 'forever' }), InvalidInputError);
});

/** Obsolete: B, and a failed one of the 9th. A is kept standalone. Segments 0 to 30; timeline 2 begins at 25. */
function worldOf<S extends FakeStorage = FakeStorage>(storage: S = new FakeStorage() as S): S {
  plantBackup(storage, { id: A, day: 8, begin: 3, end: 5, keep: 'standalone' });
  plantBackup(storage, { id: '20261109T010000', day: 9, begin: 7, info: { status: 'FAILED', endTime: undefined } });
  plantBackup(storage, { id: B, day: 10, begin: 10, end: 11 });
  plantBackup(storage, { id: C, day: 14, begin: 20 });
  plantBackup(storage, { id: D, day: 19, timeline: 2, begin: 25 });
  plantWal(storage, 1, 0, 30);
  storage.plant(`${KEYS.wals}${segment(1, 10).slice(0, 16)}/${segment(1, 10)}.00000028.backup`, '');
  storage.plant(`${KEYS.wals}${segment(1, 0).slice(0, 16)}/notes.txt`, '');
  plantWal(storage, 2, 25, 26);
  plantHistory(storage, 2);
  return storage;
}

function retain(storage: FakeStorage, prefix = 'backups') {
  const archive = { ...fakeArchive(storage), keys: serverKeys(prefix, 'pg') };
  return runRetention({ archive, policy: '5d', now: NOW, signal: SIGNAL, log: silentLog() });
}

/** Every finished backup that the catalog lists has its tars and the WAL from its begin to its end. */
async function assertListedIsWhole(storage: FakeStorage): Promise<void> {
  for (const entry of await listBackups(fakeArchive(storage), SIGNAL)) {
    if (entry.state !== 'done') continue;
    const { beginWal = '', endWal = '' } = entry.info;
    const needed = [0, 1].map((part) => KEYS.data(entry.id, part, '.gz'));
    for (const number of [3, 4, 5, 10, 11, 20]) {
      const name = segment(1, number);
      if (name >= beginWal && name <= endWal) needed.push(walKey(name));
    }
    for (const key of needed) assert.ok(storage.objects.has(key), `${entry.id} lacks ${key}`);
  }
}

function below(storage: FakeStorage, prefix: string): string[] {
  return [...storage.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
}

function age(storage: FakeStorage, key: string, day: number): void {
  const object = storage.objects.get(key);
  assert.ok(object);
  object.lastModified = toDate(november(day));
}

function manifest(startedAt: string): string {
  return formatManifest({
    version: 1,
    state: 'running',
    startedAt,
    instance: 'pg-1',
    uploads: ['data.tar.gz'],
    objects: [],
  });
}

class LockingStorage extends FakeStorage {
  readonly locked: Set<string>;

  constructor(locked: string[]) {
    super();
    this.locked = new Set(locked);
  }

  override async delete(
    keys: readonly string[],
    options: { signal?: AbortSignal } = {},
  ): Promise<StoreDeleteFailure[]> {
    await super.delete(
      keys.filter((key) => !this.locked.has(key)),
      options,
    );
    const refused = keys.filter((key) => this.locked.has(key));
    return refused.map((key) => ({ key, reason: 'AccessDenied: object is locked' }));
  }
}

class RecordingStorage extends FakeStorage {
  readonly starts: string[] = [];

  override list(prefix: string, options: { signal?: AbortSignal; startAfter?: string } = {}) {
    if (options.startAfter !== undefined) this.starts.push(options.startAfter);
    return super.list(prefix, options);
  }
}

class UploadStorage extends FakeStorage {
  readonly asked = new Map<string, Date>();
  readonly #refuses: boolean;

  constructor(refuses = false) {
    super();
    this.#refuses = refuses;
  }

  override async abortOrphans(prefix = '', startedBefore = new Date(0)): Promise<string[]> {
    this.asked.set(prefix, startedBefore);
    if (!this.#refuses) return [];
    const facts = { failure: 'refused', provider: 'fake', operation: 'list', key: prefix, reason: 'no' } as const;
    throw new StoreError(facts);
  }
}
