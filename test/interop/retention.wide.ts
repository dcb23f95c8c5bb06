// The retention of barman and ours over copies of one history: the same finished backups stay, with the WAL that they
// need. Whatever else differs is a row of the table in docs/retention.md, and each row is a history here.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { listBackups } from '../../sidecar/backup/catalog.ts';
import { runRetention } from '../../sidecar/backup/retention.ts';
import type { Archive } from '../../sidecar/store/archive.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { FakeStorage, fakeArchive } from '../fake-storage.ts';
import { segment } from '../planted-backups.ts';
import { startS3, type TestS3 } from '../servers/s3rver.ts';
import { BUCKET, openStorage } from '../wal-place.ts';
import { barmanAnswers } from './barman.ts';
import { idsOf, objectsOf, plantCopy } from './retention/copies.ts';
import { HISTORIES, type HistoricBackup, type History, WINDOW_DAYS } from './retention/histories.ts';
import { keysOf, wordsOf } from './retention/words.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const URL = `s3://${BUCKET}/backups`;
const SIGNAL = AbortSignal.timeout(600_000);

let s3: TestS3;
let storage: ObjectStorage;
before(async () => {
  s3 = await startS3();
  await s3.createBucket(BUCKET);
  storage = openStorage({ after: () => {} }, s3);
});
after(async () => {
  storage.close();
  await s3.stop();
});

for (const [index, history] of HISTORIES.entries()) {
  test(`${history.title}${history.row === undefined ? '' : ` (${history.row})`}`, async () => {
    const now = new Date();
    const ids = idsOf(history, now);
    // Names of which one is the beginning of the other: neither may touch the other's objects.
    const [theirs, ours] = [archiveOf(`history-${index}`), archiveOf(`history-${index}-cellar`)];
    for (const { serverName } of [theirs, ours]) {
      await plantCopy({ s3, storage, server: serverName, history, now });
    }
    const before = await remaining(ours);
    await barmanRetains(theirs.serverName, history.barmanStatus ?? 0);
    assert.deepEqual(await remaining(ours), before);
    await runRetention({ archive: ours, policy: `${WINDOW_DAYS}d`, now, signal: SIGNAL, log: silentLog() });

    const [left, leftByUs] = [await remaining(theirs), await remaining(ours)];
    const { stays } = history;
    const [barmanStays, cellarStays] = typeof stays === 'string' ? [stays, stays] : [stays.barman, stays.cellar];
    assert.deepEqual(await finished(theirs, ids), barmanStays, 'finished backups with barman');
    assert.deepEqual(await finished(ours, ids), cellarStays, 'finished backups with us');
    assertWhole(history, barmanStays, left, ids, now);
    assertWhole(history, cellarStays, leftByUs, ids, now);
    const { onlyWithBarman = [], onlyWithUs = [] } = history;
    assert.deepEqual(difference(left, leftByUs, ids), wordsOf(keysOf(onlyWithBarman, ids).sort(), ids));
    assert.deepEqual(difference(leftByUs, left, ids), wordsOf(keysOf(onlyWithUs, ids).sort(), ids));
    const differs = barmanStays !== cellarStays || onlyWithBarman.length + onlyWithUs.length > 0;
    assert.ok(!differs || history.row !== undefined, 'a difference has a row');
  });
}

test('every row of the table is a history, and every history of a row is in the table', async () => {
  const text = await readFile(join(ROOT, 'docs/retention.md'), 'utf8');
  const section = text.slice(text.indexOf('## Where it differs'));
  const rows = [...section.matchAll(/^\| ([^|]+?) \|/gm)]
    .map(([, first]) => first)
    .filter((first) => !first?.startsWith('-'));
  const known = HISTORIES.flatMap(({ row }) => row ?? []);
  assert.deepEqual(rows.sort(), [...new Set(known)].sort());
});

function archiveOf(serverName: string): Archive {
  return { ...fakeArchive(new FakeStorage(), {}, { objectStore: 'store', serverName }), storage };
}

async function barmanRetains(server: string, expected: number): Promise<void> {
  const policy = `RECOVERY WINDOW OF ${WINDOW_DAYS} DAYS`;
  const { status, stderr } = await barmanAnswers(s3, 'backup-delete', ['--retention-policy', policy, URL, server]);
  assert.equal(status, expected, stderr);
}

/** Keys below the server's folder. */
async function remaining({ keys }: Archive): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const { key } of storage.list(keys.server)) found.add(key.slice(keys.server.length));
  return found;
}

async function finished(archive: Archive, ids: ReadonlyMap<string, string>): Promise<string> {
  const done = new Set<string>();
  for (const { id, state } of await listBackups(archive, SIGNAL)) if (state === 'done') done.add(id);
  return [...ids].flatMap(([letter, id]) => (done.has(id) ? [letter] : [])).join('');
}

/** Every backup that stays has its objects and the WAL that it needs, as far as it was there. */
function assertWhole(
  history: History,
  letters: string,
  left: ReadonlySet<string>,
  ids: ReadonlyMap<string, string>,
  now: Date,
): void {
  const stay = history.backups.filter(({ letter }) => letters.includes(letter));
  const needed = stay.flatMap((backup) =>
    keysOf(
      [...objectsOf(backup, now, ids).keys()].map((name) => `${backup.letter}/${name}`),
      ids,
    ),
  );
  const anchor = Math.min(...stay.map(({ ageDays }) => ageDays).filter((ageDays) => ageDays > WINDOW_DAYS));
  const parents = history.backups.map(({ parent }) => parent);
  const toItsEnd = ({ letter, keep, ageDays }: HistoricBackup) =>
    ageDays > anchor && (keep === 'standalone' || parents.includes(letter));
  for (const key of keysOf(history.wal, ids)) {
    const name = /wals\/[0-9A-F]{16}\/([0-9A-F]{24})\.gz$/.exec(key)?.[1];
    const isNeeded = (backup: HistoricBackup) => name !== undefined && needs(backup, name, toItsEnd(backup));
    if (key.endsWith('.history.gz') || stay.some(isNeeded)) needed.push(key);
  }
  assert.deepEqual(
    wordsOf(
      needed.filter((key) => !left.has(key)),
      ids,
    ),
    [],
    'missing',
  );
}

/** Its own range; where that is not all, also everything later on its timeline and those after it. */
function needs({ begin, end = begin, timeline = 1 }: HistoricBackup, name: string, toItsEnd: boolean): boolean {
  const inRange = name >= segment(timeline, begin) && name <= segment(timeline, end);
  if (inRange || toItsEnd) return inRange;
  return name.slice(0, 8) >= segment(timeline, 0).slice(0, 8) && name.slice(8) >= segment(timeline, begin).slice(8);
}

function difference(
  some: ReadonlySet<string>,
  others: ReadonlySet<string>,
  ids: ReadonlyMap<string, string>,
): string[] {
  return wordsOf([...some].filter((key) => !others.has(key)).sort(), ids);
}
