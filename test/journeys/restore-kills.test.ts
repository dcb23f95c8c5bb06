// kill -9 of the sidecar of a recovery Job at seeded moments of a restore. PostgreSQL never starts on what is half, and the
// next restore of the same Job is whole.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fixedSettings, writeConfiguration } from '../manager/configuration.ts';
import type { Fault, FaultProxy, Seen } from '../servers/fault-proxy.ts';
import { BUCKET } from '../stand.ts';
import { askBackup } from './ask-backup.ts';
import { untilPromoted } from './conditions.ts';
import { startIdleInstance } from './idle-instance.ts';
import { type ProxiedStand, startProxiedStand } from './proxied-stand.ts';
import { seededRandom } from './random.ts';
import { type RecoveryJob, startRecoveryJob } from './recovery-job.ts';
import { goOn, standStillAt } from './stand-still.ts';
import { type Content, contentOf, openStoredBackups } from './stored-backups.ts';

const ALL = process.env.CELLAR_ALL === '1';
const KILLS = ALL ? 50 : 5;
const SEED = 6;
const ROWS = ALL ? 200_000 : 20_000;
const SETTLED_MS = 200;

/** A request that is never answered, like all after it; or a tar that stops after so many percent while the others come whole. */
type Point = { request: number } | { tar: number; percent: number };

test(`after each of ${KILLS} kills of a sidecar that restores PGDATA does not start, and the next restore is whole`, {
  timeout: ALL ? 3_600_000 : 600_000,
}, async (t) => {
  const stand = await startProxiedStand();
  t.after(() => stand.cleanup.run());
  // Not packed, and in several tars: many requests, and bytes that can be counted.
  await stand.configure({ data: { immediateCheckpoint: true, additionalCommandArgs: ['--max-archive-size=8MB'] } });
  const sizes = await storeBackup(stand);
  const job = await startRecoveryJob(stand);
  const { control, requests, tars } = await restoreUndisturbed(stand, job);

  await job.sidecar.stop();
  const points = choosePoints(requests, tars);
  t.diagnostic(`a restore asks ${requests} times; killed at ${points.map(words).join(', ')}`);
  for (const point of points) {
    await killAt(stand.proxy, job, point, sizes);
    await assertNoServer(stand, job, `killed at ${words(point)}`);
  }

  const sidecar = await job.startSidecar();
  await job.restore();
  assert.deepEqual(await contentOf(job.pgdata), control);
  const restored = await job.start();
  await untilPromoted(restored);
  await restored.stop('immediate');
  await sidecar.stop();
});

/** Bytes by the path that is asked for. */
type Sizes = ReadonlyMap<string, number>;

async function storeBackup(stand: ProxiedStand): Promise<Sizes> {
  const instance = await startIdleInstance(stand, ROWS);
  const sidecar = await instance.startSidecar();
  const { backupId } = await askBackup(instance);
  await instance.postgres.stop('immediate');
  await sidecar.stop();
  const objects = await openStoredBackups(stand).objects(backupId);
  return new Map(objects.map(({ key, sizeBytes }) => [`/${BUCKET}/${key}`, sizeBytes]));
}

/** Nor does it start when somebody gives the half folder the configuration of a whole one. */
async function assertNoServer({ account }: ProxiedStand, job: RecoveryJob, when: string): Promise<void> {
  assert.ok(!existsSync(join(job.pgdata, 'global', 'pg_control')), `${when}: no control file`);
  if (!existsSync(join(job.pgdata, 'PG_VERSION'))) return;
  await writeConfiguration(job.pgdata, account, fixedSettings('false'));
  await assert.rejects(job.start(), /could not open file ".*\/global\/pg_control"/, when);
}

async function restoreUndisturbed({ proxy }: ProxiedStand, job: RecoveryJob) {
  proxy.seen.length = 0;
  await job.restore();
  const control: Content = await contentOf(job.pgdata);
  assert.ok(control.size > 100);
  return { control, requests: proxy.seen.length, tars: proxy.seen.filter(isTar).length };
}

function choosePoints(requests: number, tars: number): Point[] {
  assert.ok(tars >= 3, 'the backup is in several tars');
  const random = seededRandom(SEED);
  return Array.from({ length: KILLS }, (_, index) => {
    if (index % 2 === 1) return { request: random.integer(1, requests) };
    // The control file is in the last tar: it comes whole while the first one does not.
    return { tar: index === 0 ? 1 : random.integer(1, tars), percent: random.integer(0, 99) };
  });
}

async function killAt(proxy: FaultProxy, job: RecoveryJob, point: Point, sizes: Sizes): Promise<void> {
  const sidecar = await job.startSidecar();
  const reached = standStillAt(
    proxy,
    'tar' in point
      ? { counts: isTar, number: point.tar, how: (seen) => stallAt(seen, point.percent, sizes), restPasses: true }
      : { number: point.request, how: () => ({ kind: 'hold' }) },
  );
  const asked = job.restore().then(
    () => assert.fail(`the restore has ended before ${words(point)}`),
    (error: unknown) => error,
  );
  const early = await Promise.race([reached.then(() => undefined), asked]);
  assert.equal(early, undefined, `the restore fails by itself before ${words(point)}: ${early}`);
  await settled(job.pgdata);
  await sidecar.stop('SIGKILL');
  await asked;
  goOn(proxy);
}

/** So many percent of the body that was asked for, which may be a range of the object. */
function stallAt({ path, headers }: Seen, percent: number, sizes: Sizes): Fault {
  const size = sizes.get(path) ?? 0;
  const [, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const length = Math.min(size, last === '' ? size : Number(last) + 1) - Number(first);
  return { kind: 'stall', afterBytes: Math.floor((length * percent) / 100) };
}

/** Waits until nothing is unpacked any more. */
async function settled(pgdata: string): Promise<void> {
  const count = () =>
    readdir(pgdata, { recursive: true }).then(
      (names) => names.length,
      () => 0,
    );
  for (let before = -1, now = await count(); now !== before; ) {
    await delay(SETTLED_MS);
    [before, now] = [now, await count()];
  }
}

function isTar({ method, path }: Seen): boolean {
  return method === 'GET' && path.endsWith('.tar');
}

function words(point: Point): string {
  return 'tar' in point ? `${point.percent} % of tar ${point.tar}` : `request ${point.request}`;
}
