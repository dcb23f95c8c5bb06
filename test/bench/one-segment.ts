// One segment at a time: what PostgreSQL waits for as long as archiving keeps up.
import { median } from '../demo/report.ts';
import { type Bench, withSidecar } from './bench.ts';
import { hasFloor } from './floor-codecs.ts';
import type { CodecName } from './options.ts';
import { PACKINGS, type Packing } from './packings.ts';
import type { PeerName } from './peers/peer.ts';
import type { Goal } from './report.ts';
import { storeName } from './rig.ts';
import { layOut } from './wal-queue.ts';

/** `peers`: times as fast as one, where that is more than ahead of it. */
const GOALS: Record<CodecName, { floor?: Goal; peers: Partial<Record<PeerName, number>> }> = {
  gzip: { floor: { times: { atMost: 1.15 } }, peers: { barman: 3.5, pgBackRest: 2.3 } },
  lz4: { floor: { times: { atMost: 1.3 } }, peers: {} },
  zstd: { floor: { times: { atMost: 1.3 } }, peers: {} },
  none: { floor: { times: { atMost: 1.3 } }, peers: {} },
  bzip2: { peers: { barman: 1.5 } },
};
/** The first calls compile code, open connections, and find out what the store can do. */
const WARM_UP = 3;
/** Barman takes seconds where we take one. */
const MOST_PEER_REPEATS = 5;

/** Measures the median of the call through the socket, its floor in turns with it, then the peers. */
export async function measureOneSegment(bench: Bench, codec: CodecName): Promise<void> {
  const { options, segments, report, peers, store } = bench;
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

  const few = queue.paths.slice(0, Math.min(repeats, MOST_PEER_REPEATS));
  for (const peer of peers.filter(({ packs }) => packs(codec))) {
    const theirs = median(await peer.archiveEach(codec, few));
    const goal: Goal = { times: { atLeast: goals.peers[peer.name] ?? 1 } };
    report.add({ name: `${name}, against ${peer.name}`, value, unit, floor: theirs, goal });
  }
  await store.empty();
}

async function floorOf(bench: Bench, { codec, level }: Packing, path: string): Promise<number> {
  return (await bench.floor.measure({ kind: 'segment', path, codec, level })).wallMs;
}
