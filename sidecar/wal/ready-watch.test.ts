import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { createReadyWatch, lookOnce } from './ready-watch.ts';
import { createWalMetrics } from './wal-metrics.ts';

const NOW_MS = 2_000_000_000_000;

async function stage(t: TestContext) {
  const pgdata = await mkdtemp(join(tmpdir(), 'cellar-ready-'));
  t.after(() => rm(pgdata, { recursive: true, force: true }));
  const folder = join(pgdata, 'pg_wal', 'archive_status');
  await mkdir(folder, { recursive: true });
  const registry = new Metrics();
  const metrics = createWalMetrics(registry, () => NOW_MS);
  /** A file that has waited for so many seconds. */
  const wait = async (name: string, seconds: number) => {
    const path = join(folder, name);
    await writeFile(path, '');
    await utimes(path, NOW_MS / 1000 - seconds, NOW_MS / 1000 - seconds);
  };
  const value = (name: string) => registry.samples().find((sample) => sample.name === name)?.value;
  const gauges = () => [value('cellar_wal_ready_files'), value('cellar_wal_oldest_ready_seconds')];
  return { pgdata, folder, metrics, wait, gauges };
}

test('files that wait are counted, and the age of the oldest is told whatever its name', async (t) => {
  const { folder, metrics, wait, gauges } = await stage(t);
  await wait('00000002.history.ready', 5);
  await wait('000000010000000000000003.ready', 90);
  await wait('000000010000000000000002.done', 500);
  await wait('backup.ready', 500);
  await lookOnce(folder, metrics);
  assert.deepEqual(gauges(), [2, 90]);
  await rename(join(folder, '000000010000000000000003.ready'), join(folder, '000000010000000000000003.done'));
  await rm(join(folder, '00000002.history.ready'));
  await lookOnce(folder, metrics);
  assert.deepEqual(gauges(), [0, 0]);
});

test('the age grows between two looks, and never shows less than 0 when the clock was set back', () => {
  const registry = new Metrics();
  let now = 10_000;
  const { oldestReady } = createWalMetrics(registry, () => now);
  const age = () => registry.samples().find(({ name }) => name === 'cellar_wal_oldest_ready_seconds')?.value;
  oldestReady(4000);
  assert.equal(age(), 6);
  now = 14_000;
  assert.equal(age(), 10);
  now = 1000;
  assert.equal(age(), 0);
});

test('a data folder that is not there yet is no backlog', async (t) => {
  const { pgdata, metrics, gauges } = await stage(t);
  metrics.readyFiles.set(7);
  await lookOnce(join(pgdata, 'nowhere'), metrics);
  assert.deepEqual(gauges(), [0, 0]);
});

test('the watch looks at once and again, and a stopped one looks no more', async (t) => {
  const { pgdata, metrics, wait, gauges } = await stage(t);
  const seen: unknown[] = [];
  let woken = () => {};
  const told = {
    ...metrics,
    readyFiles: {
      set(count: number) {
        seen.push(count);
        metrics.readyFiles.set(count);
        woken();
      },
    },
  };
  const watch = createReadyWatch({ pgdata, metrics: told, log: silentLog(), paceMs: 1 });
  const looked = () =>
    new Promise<void>((resolve) => {
      woken = resolve;
    });
  const first = looked();
  watch.start();
  await first;
  assert.deepEqual(gauges(), [0, 0]);
  await wait('000000010000000000000003.ready', 1);
  while (seen.at(-1) !== 1) await looked();
  await watch.stop();
  const after = seen.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(seen.length, after);
});

test('the first look is at the start', async (t) => {
  const { pgdata, metrics, wait, gauges } = await stage(t);
  await wait('000000010000000000000003.ready', 1);
  const watch = createReadyWatch({ pgdata, metrics, log: silentLog(), paceMs: 60_000 });
  watch.start();
  await watch.stop();
  assert.deepEqual(gauges(), [1, 1]);
});

test('a folder that cannot be read ends nothing', async (t) => {
  const { pgdata, folder, metrics } = await stage(t);
  await rm(folder, { recursive: true });
  await writeFile(folder, 'a file');
  const watch = createReadyWatch({ pgdata, metrics, log: silentLog(), paceMs: 60_000 });
  watch.start();
  await watch.stop();
});
