// Many segments that wait: PostgreSQL asks for one after the other, the sidecar goes ahead.
import { type Bench, withSidecar } from './bench.ts';
import type { CodecName } from './options.ts';
import { PACKINGS, type Packing } from './packings.ts';
import { cpuSeconds } from './process-figures.ts';
import type { Goal } from './report.ts';
import { EFFORT_STORE, MAX_PARALLEL, type Place, storeName } from './rig.ts';
import { layOut, type WalQueue } from './wal-queue.ts';

const GZIP_GOALS: { wall: Goal; cpu?: Goal } = { wall: { times: { atLeast: 0.95 } }, cpu: { times: { atMost: 1.1 } } };
const OTHER_GOALS: { wall: Goal; cpu?: Goal } = { wall: { times: { atMost: 1.3 } } };
const WARM_UP = 2;
/** Enough of barman to know its pace. */
const MOST_BARMAN_SEGMENTS = 32;

/** Archives `count` segments and measures wall and CPU time of each; what it has stored stays, at the place returned. */
export async function measureBacklog(bench: Bench, codec: CodecName): Promise<{ place: Place; names: string[] }> {
  const { options, report, segments } = bench;
  const packing = PACKINGS[codec];
  const place = { objectStore: storeName(codec, 'ahead'), serverName: `backlog-${codec}` };
  const { queue, wallMs, cpuMs } = await archiveBacklog(bench, place);
  const { inFlight, sizeBytes } = { inFlight: MAX_PARALLEL, sizeBytes: segments.sizeBytes };
  const task = { kind: 'archive', codec, level: packing.level, inFlight, sizeBytes } as const;
  await bench.floor.measure({ ...task, paths: queue.paths.slice(0, WARM_UP) });
  const loop = await bench.floor.measure({ ...task, paths: queue.paths });
  const each = (total: number) => total / options.count;
  const goals = codec === 'gzip' ? GZIP_GOALS : OTHER_GOALS;
  const name = `backlog of ${options.count}, ${packing.label}`;
  const unit = 'ms/segment';
  const whole = `${(wallMs / 1000).toFixed(1)} s, loop ${(loop.wallMs / 1000).toFixed(1)} s`;
  report.add({ name, value: each(wallMs), unit, floor: each(loop.wallMs), goal: goals.wall, note: whole });
  const cpuGoal = goals.cpu === undefined ? {} : { goal: goals.cpu };
  report.add({ name: `${name}, CPU`, value: each(cpuMs), unit, floor: each(loop.cpuMs), ...cpuGoal });
  const barmanMs = await runBarman(bench, packing, queue);
  const note = barmanMs === undefined ? 'barman is not on the PATH' : `${MAX_PARALLEL} programs at a time`;
  const goal: Goal = { times: { atLeast: 1 } };
  report.add({ name: `${name}, against barman`, value: each(wallMs), unit, floor: barmanMs, goal, note });
  return { place, names: queue.names };
}

/** The same where no option fixes a level. */
export async function measureEffort(bench: Bench): Promise<void> {
  const { options, report, store } = bench;
  const { wallMs, cpuMs } = await archiveBacklog(bench, { objectStore: EFFORT_STORE, serverName: 'effort' });
  const name = `backlog of ${options.count}, gzip, default effort`;
  const note = `${(wallMs / 1000).toFixed(1)} s; pgBackRest is not measured`;
  const unit = 'ms/segment';
  report.add({ name, value: wallMs / options.count, unit, goal: { times: { atLeast: 2.8 } }, note });
  report.add({ name: `${name}, CPU`, value: cpuMs / options.count, unit });
  await store.empty();
}

async function archiveBacklog(bench: Bench, place: Place) {
  const { options, segments, rig } = bench;
  const { sizeBytes } = segments;
  return withSidecar(bench, async (sidecar) => {
    const warmUp = await layOut(rig, segments.files, { count: WARM_UP, sizeBytes });
    await warmUp.archiveAll(sidecar, { ...place, serverName: 'warm-up' });
    const queue = await layOut(rig, segments.files, { count: options.count, sizeBytes });
    const cpu = cpuSeconds(sidecar.pid);
    const startedAt = performance.now();
    await queue.archiveAll(sidecar, place);
    const wallMs = performance.now() - startedAt;
    return { queue, wallMs, cpuMs: (cpuSeconds(sidecar.pid) - cpu) * 1000 };
  });
}

/** Milliseconds for each segment; undefined without barman. */
async function runBarman(bench: Bench, packing: Packing, queue: WalQueue): Promise<number | undefined> {
  const { barman } = bench;
  if (barman === undefined) return undefined;
  const paths = queue.paths.slice(0, MOST_BARMAN_SEGMENTS);
  const waiting = paths.values();
  const startedAt = performance.now();
  const worker = async () => {
    for (const path of waiting) await barman.archive(`barman-${packing.codec}`, path, packing.barman);
  };
  await Promise.all(Array.from({ length: MAX_PARALLEL }, worker));
  return (performance.now() - startedAt) / paths.length;
}
