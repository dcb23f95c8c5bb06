import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog, silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { type BackupManifest, formatManifest, readManifest } from './manifest.ts';
import { abortOrphans, isDead, namesOfUploads } from './orphans.ts';

const NOW = new Date('2026-11-25T12:00:00Z');
const SIGNAL = AbortSignal.timeout(10_000);
const RUNNING: BackupManifest = {
  version: 1,
  state: 'running',
  startedAt: '2026-11-25T11:00:00.000Z',
  instance: 'pg-1',
  uploads: ['16384.tar.gz', 'data.tar.gz'],
  objects: [],
};

const RUNS: [what: string, changes: Partial<BackupManifest>, dead: boolean][] = [
  ['our own that still runs by its manifest', {}, true],
  ['our own that is complete', { state: 'complete' }, false],
  ['our own without an upload', { uploads: [] }, false],
  ["another instance's of an hour ago", { instance: 'pg-2' }, false],
  [
    "another instance's of yesterday that was alive an hour ago",
    { instance: 'pg-2', startedAt: '2026-11-23T12:00:00.000Z', aliveAt: '2026-11-25T11:00:00.000Z' },
    false,
  ],
  ["another instance's of yesterday", { instance: 'pg-2', startedAt: '2026-11-24T11:59:59.000Z' }, true],
];
for (const [what, changes, dead] of RUNS) {
  test(`a run, ${what}: ${dead ? 'dead' : 'left alone'}`, () => {
    assert.equal(isDead({ ...RUNNING, ...changes }, 'pg-1', NOW), dead);
  });
}

test('an upload may be open under the first name of a tar and under the one behind the last stored', () => {
  assert.deepEqual(namesOfUploads(RUNNING.uploads, new Set()), ['16384.tar.gz', 'data.tar.gz']);
  assert.deepEqual(namesOfUploads(['data.tar'], new Set(['data.tar', 'data_0001.tar', 'data_0003.tar'])), [
    'data.tar',
    'data_0001.tar',
    'data_0002.tar',
  ]);
});

test('uploads of dead runs are aborted by exact key, others only when a week old', async () => {
  const storage = new UploadsByKey();
  const archive = fakeArchive(storage);
  const dead = archive.keys.backup('20261125T110000');
  const theirs = archive.keys.backup('20261125T115000');
  storage.plant(`${dead}annotations/cellar.json`, formatManifest(RUNNING));
  storage.plant(`${dead}16384.tar.gz`, 'whole');
  storage.plant(`${theirs}annotations/cellar.json`, formatManifest({ ...RUNNING, instance: 'pg-2' }));
  storage.plant(`${archive.keys.backup('20261101T000000')}backup.info`, 'status=DONE\n');
  storage.open.add(`${dead}16384_0001.tar.gz`);
  storage.open.add(`${theirs}data.tar.gz`);
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  const sweep = { archive, instance: 'pg-1', now: NOW, put: {}, signal: SIGNAL, log };

  await abortOrphans(sweep);
  assert.deepEqual([...storage.open], [`${theirs}data.tar.gz`]);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /16384_0001\.tar\.gz/);
  assert.deepEqual((await readManifest(archive, '20261125T110000', SIGNAL))?.uploads, [], 'swept once');
  const asked = storage.asked.filter(({ prefix }) => prefix === archive.keys.base);
  assert.deepEqual(
    asked.map(({ startedBefore }) => startedBefore.toISOString()),
    ['2026-11-18T12:00:00.000Z'],
  );
});

test('an upload of a run that goes on is none that has been open for too long', async () => {
  const storage = new UploadsByKey();
  const archive = fakeArchive(storage);
  const slow = { ...RUNNING, instance: 'pg-2', startedAt: '2026-11-10T12:00:00.000Z' };
  const alive = formatManifest({ ...slow, aliveAt: '2026-11-25T11:00:00.000Z' });
  storage.plant(`${archive.keys.backup('20261110T120000')}annotations/cellar.json`, alive);
  await abortOrphans({ archive, instance: 'pg-1', now: NOW, put: {}, signal: SIGNAL, log: silentLog() });
  assert.deepEqual(
    storage.asked.map(({ prefix, startedBefore }) => [prefix, startedBefore.toISOString()]),
    [[archive.keys.base, slow.startedAt]],
  );
});

test('an object under a key with an empty element is no run, and no such key is asked for', async () => {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  storage.plant(`${archive.keys.base}/annotations/cellar.json`, formatManifest(RUNNING));
  await abortOrphans({ archive, instance: 'pg-1', now: NOW, put: {}, signal: SIGNAL, log: silentLog() });
  assert.deepEqual(
    storage.requests.filter((request) => request.includes('//')),
    [],
  );
});

test('a store that does not let us look does not stand in the way of a backup', async () => {
  for (const verb of ['list', 'get'] as const) {
    const storage = new FakeStorage();
    const archive = fakeArchive(storage);
    storage.plant(`${archive.keys.backup('20261125T110000')}annotations/cellar.json`, formatManifest(RUNNING));
    storage.fail(verb, 'refused');
    const sweep = { archive, instance: 'pg-1', now: NOW, put: {}, signal: SIGNAL, log: silentLog() };
    assert.equal(await abortOrphans(sweep), false, 'and the next backup looks again');
    assert.equal(await abortOrphans(sweep), true);
  }
});

/** A store that, like MinIO, lists uploads for an exact key only. */
class UploadsByKey extends FakeStorage {
  readonly open = new Set<string>();
  readonly asked: { prefix: string; startedBefore: Date }[] = [];

  override async abortOrphans(prefix = '', startedBefore = new Date(0)): Promise<string[]> {
    this.asked.push({ prefix, startedBefore });
    return this.open.delete(prefix) ? [prefix] : [];
  }
}
