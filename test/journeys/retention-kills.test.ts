// kill -9 of a process that applies a retention policy, at seeded writes of it. What is listed afterwards has all that a restore
// needs, and the next run finishes. (That every request may be the last one is tried beside retention.ts, over a fake store.)
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { listBackups } from '../../sidecar/backup/catalog.ts';
import { toDate } from '../../sidecar/backup/timestamp.ts';
import type { Archive } from '../../sidecar/store/archive.ts';
import { FakeStorage } from '../fake-storage.ts';
import { KEYS, november, type PlantedBackup, plantBackup, plantWal, segment, walKey } from '../planted-backups.ts';
import { type FaultProxy, type Seen, startFaultProxy } from '../servers/fault-proxy.ts';
import { startS3, type TestS3 } from '../servers/s3rver.ts';
import { seededRandom } from './random.ts';
import { archiveIn, type RetentionPlace } from './retention-place.ts';
import { faultAt, goOn, MOMENTS, type Moment, standStillAt } from './stand-still.ts';

const KILLS = process.env.CELLAR_ALL === '1' ? 50 : 5;
const SEED = 7;
const POLICY = '5d';
// The window begins on the 15th at noon.
const NOW = toDate(november(20, '12:00:00'));
const LAST_SEGMENT = 22;

/** Once the policy lets a backup go, WAL behind its end may be gone while it is still listed. */
const OBSOLETE = ['20261105T010000', '20261110T010000'];
const BACKUPS: PlantedBackup[] = [
  { id: '20261105T010000', day: 5, begin: 1 },
  { id: '20261107T010000', day: 7, begin: 3, end: 4, keep: 'standalone' },
  { id: '20261109T010000', day: 9, begin: 6, info: { status: 'FAILED', endTime: undefined } },
  { id: '20261110T010000', day: 10, begin: 8, end: 9 },
  { id: '20261114T010000', day: 14, begin: 14 },
  { id: '20261119T010000', day: 19, begin: 20 },
];

let s3: TestS3;
let proxy: FaultProxy;

before(async () => {
  s3 = await startS3();
  proxy = await startFaultProxy(s3.endpoint);
});

after(async () => {
  await proxy?.stop();
  await s3?.stop();
});

test(`after each of ${KILLS} kills of a retention run what is listed is whole, and the next run finishes`, async (t) => {
  const control = await plantedPlace('control');
  await runToTheEnd(control);
  const writes = proxy.seen.filter(isWrite).length;
  assert.ok(writes >= 10);
  const kept = await keysOf(control);
  const random = seededRandom(SEED);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const point = { number: random.integer(1, writes), moment: random.pick(MOMENTS) };
    const when = `write ${point.number} of ${writes}, ${point.moment}`;
    t.diagnostic(when);
    const place = await plantedPlace(`kill-${kill}`);
    await killAt(place, point);
    await assertListedIsWhole(place, when);
    await runToTheEnd(place);
    assert.deepEqual(await keysOf(place), kept, when);
  }
});

/** A bucket of its own with all of the backups. */
async function plantedPlace(bucket: string): Promise<RetentionPlace> {
  const planted = new FakeStorage();
  for (const backup of BACKUPS) plantBackup(planted, backup);
  plantWal(planted, 1, 0, LAST_SEGMENT);
  const { accessKeyId, secretAccessKey } = s3;
  const credentials = { accessKeyId, secretAccessKey };
  const place = { endpoint: s3.endpoint, bucket, credentials, policy: POLICY, now: NOW.toISOString() };
  await s3.createBucket(bucket);
  await withArchive(place, async ({ storage }) => {
    for (const [key, { bytes }] of planted.objects) await storage.put(key, bytes);
  });
  proxy.seen.length = 0;
  return { ...place, endpoint: proxy.endpoint };
}

async function killAt(place: RetentionPlace, point: { number: number; moment: Moment }): Promise<void> {
  const reached = standStillAt(proxy, {
    ...{ counts: isWrite, number: point.number },
    how: (seen) => faultAt(point.moment, seen),
  });
  const { child, ended } = startRun(place);
  const early = await Promise.race([reached.then(() => undefined), ended]);
  assert.equal(early, undefined, 'it ends before it can be killed');
  child.kill('SIGKILL');
  await ended;
  goOn(proxy);
}

async function runToTheEnd(place: RetentionPlace): Promise<void> {
  const { ended } = startRun(place);
  assert.equal((await ended).code, 0);
}

function startRun(place: RetentionPlace) {
  const program = new URL('retention-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, JSON.stringify(place)], { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = new Promise<{ code: number | null }>((resolve) => {
    child.once('close', (code) => resolve({ code }));
  });
  return { child, ended };
}

function isWrite({ method }: Seen): boolean {
  return method !== 'GET' && method !== 'HEAD';
}

/** Past the proxy. Every finished backup has its tars, its own WAL, and what it needs beyond to go on to the newest. */
async function assertListedIsWhole(place: RetentionPlace, when: string): Promise<void> {
  const there = new Set(await keysOf(place));
  const entries = await withArchive(place, (archive) => listBackups(archive, AbortSignal.timeout(60_000)));
  for (const entry of entries) {
    if (entry.state !== 'done') continue;
    const planted = BACKUPS.find(({ id }) => id === entry.id);
    assert.ok(planted);
    const { begin, end = begin, keep } = planted;
    const last = keep === 'standalone' || OBSOLETE.includes(entry.id) ? end : LAST_SEGMENT;
    const needed = [KEYS.data(entry.id, 0, '.gz'), KEYS.data(entry.id, 1, '.gz')];
    for (let number = begin; number <= last; number += 1) needed.push(walKey(segment(1, number)));
    const missing = needed.filter((key) => !there.has(key));
    assert.deepEqual(missing, [], `${when}: ${entry.id} is listed`);
  }
  assert.ok(entries.filter(({ state }) => state === 'done').length >= 3, when);
}

async function keysOf(place: RetentionPlace): Promise<string[]> {
  return withArchive(place, async ({ storage, keys }) => {
    const found: string[] = [];
    for await (const { key } of storage.list(keys.server)) found.push(key);
    return found;
  });
}

/** Straight to the server. */
async function withArchive<T>(place: RetentionPlace, work: (archive: Archive) => Promise<T>): Promise<T> {
  const archive = archiveIn({ ...place, endpoint: s3.endpoint });
  try {
    return await work(archive);
  } finally {
    archive.storage.close();
  }
}
