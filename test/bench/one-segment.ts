// One segment at a time: what PostgreSQL waits for as long as archiving keeps up.
import { median } from '../demo/report.ts';
import { type Bench, withSidecar } from './bench.ts';
import { hasFloor } from './floor-codecs.ts';
import type { CodecName } from './options.ts';
import { PACKINGS, type Packing } from './packings.ts';
import type { Goal } from './report.ts';
import { storeName } from './rig.ts';
import { layOut, type WalQueue } from './wal-queue.ts';

const GOALS: Record<CodecName, { floor?: Goal; barman: Goal }> = {
  gzip: { floor: { times: { atMost: 1.15 } }, barman: { times: { atLeast: 3.5 } } },
  lz4: { floor: { times: { atMost: 1.3 } }, barman: { times: { atLeast: 1 } } },
  zstd: { floor: { times: { atMost: 1.3 } }, barman: { times: { atLeast: 1 } } },
  none: { floor: { times: { atMost: 1.3 } }, barman: { times: { atLeast: 1 } } },
  bzip2: { barman: { times: { atLeast: 1.5 } } },
};
/** The first calls compile code, open connections, and find out what the store can do. */
const WARM_UP = 3;
/** Barman takes seconds where we take one. */
const MOST_BARMAN_REPEATS = 5;

/** Measures the median of the call through the socket, its floor in turns with it, then barman. */
export async function measureOneSegment(bench: Bench, codec: CodecName): Promise<void> {
  const { options, segments, report, barman, store } = bench;
  const packing = PACKINGS[codec];
  const { repeats } = options;
  const queue = await layOut(bench.rig, segments.files, { count: WARM_UP + repeats, sizeBytes: segments.sizeBytes });
  const ours: number[] = [];
  const floors: number[] = [];
  const place = { objectStore: storeName(codec, 'single'), serverName: `one-${codec}` };
  await withSidecar(bench, async (sidecar) => {
    for (const [at, path] of queue.paths.entries()) {
      const startedAt = performance.now();
      await sidecar.archive(place, path);
      const wallMs = performance.now() - startedAt;
      const floorMs = hasFloor(codec) ? await floorOf(bench, packing, path) : undefined;
      if (at < WARM_UP) continue;
      ours.push(wallMs);
      if (floorMs !== undefined) floors.push(floorMs);
    }
  });
  const goals = GOALS[codec];
  const name = `one segment, ${packing.label}, p50`;
  const unit = 'ms';
  const value = median(ours);
  const floor = floors.length === 0 ? undefined : median(floors);
  const note = floor === undefined ? 'no library of this codec to compare with' : '';
  report.add({ name, value, unit, floor, note, ...(goals.floor === undefined ? {} : { goal: goals.floor }) });

  const theirs = barman === undefined ? [] : await runBarman(bench, packing, queue);
  const missing = barman === undefined ? 'barman is not on the PATH' : '';
  report.add({
    ...{ name: `${name}, against barman`, value, unit, goal: goals.barman, note: missing },
    floor: theirs.length === 0 ? undefined : median(theirs),
  });
  await store.empty();
}

async function floorOf(bench: Bench, { codec, level }: Packing, path: string): Promise<number> {
  return (await bench.floor.measure({ kind: 'segment', path, codec, level })).wallMs;
}

async function runBarman(bench: Bench, packing: Packing, queue: WalQueue): Promise<number[]> {
  const theirs: number[] = [];
  for (const path of queue.paths.slice(0, Math.min(bench.options.repeats, MOST_BARMAN_REPEATS))) {
    theirs.push((await bench.barman?.archive('barman', path, packing.barman)) ?? Number.NaN);
  }
  return theirs;
}
