import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import type { Archive } from '../store/archive.ts';
import { type ArchiveOne, LookAhead, readReady, readyNames } from './look-ahead.ts';

const folder = mkdtempSync(join(tmpdir(), 'cellar-ahead-'));
const wal = join(folder, 'pg_wal');
after(() => rmSync(folder, { recursive: true, force: true }));

const storage = new FakeStorage();
const archive = fakeArchive(storage, { wal: { maxParallel: 3 } });
const names = Array.from({ length: 12 }, (_, index) => `0000000100000004000000${(0xa0 + index).toString(16)}`);
const [first = '', second = ''] = names;
beforeEach(() => {
  rmSync(wal, { recursive: true, force: true });
  mkdirSync(join(wal, 'archive_status'), { recursive: true });
  for (const name of names) ready(name);
});

test('history files come first, then by name; what is done or is no WAL file does not come', () => {
  const entries = ['B', 'A', 'A.00000028.backup'].map((end) => `00000001000000040000000${end}.ready`);
  assert.deepEqual(readyNames([...entries, '00000002.history.ready', 'x.ready', `${first}.done`]), [
    '00000002.history',
    '00000001000000040000000A',
    '00000001000000040000000A.00000028.backup',
    '00000001000000040000000B',
  ]);
});

test('goes ahead in order, never more at a time than are allowed beside the requested one, and not without end', async () => {
  const subject = new LookAhead(silentLog());
  const started: string[] = [];
  const waiting: (() => void)[] = [];
  let atOnce = 0;
  let most = 0;
  await fill(subject, archive, file(first), async (sourceFile) => {
    started.push(sourceFile);
    atOnce += 1;
    most = Math.max(most, atOnce);
    // Two by two: with less than two at a time nobody would ever go on.
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 2) for (const goOn of waiting.splice(0)) goOn();
    });
    atOnce -= 1;
  });
  await subject.settled();
  // Two start side by side: which of a pair is noted first is not said.
  const pairs = (files: string[]) => [0, 2, 4].map((at) => files.slice(at, at + 2).sort());
  assert.equal(started.length, 6);
  assert.deepEqual(pairs(started), pairs(names.slice(1, 7).map(file)));
  assert.equal(most, 2);
});

test('does nothing when one at a time is wanted, or where there is no archive_status', async () => {
  const subject = new LookAhead(silentLog());
  const started: string[] = [];
  const note = async (sourceFile: string) => void started.push(sourceFile);
  await fill(subject, fakeArchive(storage), file(first), note);
  await fill(subject, archive, join(folder, 'elsewhere', first), note);
  await subject.settled();
  assert.deepEqual(started, []);
});

test('starts nothing after it was stopped', async () => {
  const subject = new LookAhead(silentLog());
  subject.stop();
  const started: string[] = [];
  await fill(subject, archive, file(first), async (sourceFile) => void started.push(sourceFile));
  await subject.settled();
  assert.deepEqual(started, []);
});

test('is claimed once, only for the same file in the same store, and only while it waits', async () => {
  const claims: boolean[] = [];
  for (const change of [
    () => {},
    () => writeFileSync(file(second), 'longer than before'),
    () => utimesSync(file(second), 1, 1),
    () => {
      rmSync(file(second));
      ready(second);
    },
  ]) {
    const subject = new LookAhead(silentLog());
    await fill(subject, archive, file(first), async () => undefined);
    await subject.settled();
    change();
    claims.push(await subject.claim(archive, file(second)), await subject.claim(archive, file(second)));
  }
  assert.deepEqual(claims, [true, false, false, false, false, false, false, false]);

  const subject = new LookAhead(silentLog());
  await fill(subject, archive, file(first), async () => undefined);
  await subject.settled();
  assert.equal(await subject.claim(fakeArchive(new FakeStorage()), file(second)), false);

  await fill(subject, archive, file(first), async () => undefined);
  await subject.settled();
  rmSync(`${wal}/archive_status/${second}.ready`);
  await fill(subject, archive, file(first), async () => undefined);
  assert.equal(await subject.claim(archive, file(second)), false);
});

test('one that fails is left to its own request and does not stop the others', async () => {
  const subject = new LookAhead(silentLog());
  const started: string[] = [];
  const archiveOne = async (sourceFile: string) => {
    started.push(sourceFile);
    if (sourceFile === file(second)) throw new Error('no');
  };
  await fill(subject, archive, file(first), archiveOne);
  await subject.settled();
  await fill(subject, archive, file(first), archiveOne);
  await subject.settled();
  assert.equal(started.filter((sourceFile) => sourceFile === file(second)).length, 1);
  assert.equal(started.length > 4, true);
  assert.equal(await subject.claim(archive, file(second)), false);
});

async function fill(subject: LookAhead, at: Archive, requested: string, archiveOne: ArchiveOne): Promise<void> {
  subject.fill(at, requested, await readReady(requested), archiveOne);
}

function file(name: string): string {
  return join(wal, name);
}

function ready(name: string): void {
  writeFileSync(file(name), name);
  writeFileSync(join(wal, 'archive_status', `${name}.ready`), '');
}
