// Many segments that wait: PostgreSQL asks for one after the other, the sidecar goes ahead.
import { type Bench, withSidecar } from './bench.ts';
import type { CodecName } from './options.ts';
import { PACKINGS } from './packings.ts';
import type { WalPeer } from './peers/peer.ts';
import { cpuSeconds } from './process-figures.ts';
import type { Goal } from './report.ts';
import { EFFORT_STORE, MAX_PARALLEL, type Place, storeName } from './rig.ts';
import { layOut } from './wal-queue.ts';

const GZIP_GOALS: { wall: Goal; cpu?: Goal } = { wall: { times: { atLeast: 0.95 } }, cpu: { times: { atMost: 1.1 } } };
const OTHER_GOALS: { wall: Goal; cpu?: Goal } = { wall: { times: { atMost: 1.3 } } };
const WARM_UP = 2;
/** pgBackRest's gzip is what a backlog without a fixed level is compared with too. */
const PGBACKREST = 'pgBackRest';
const PGBACKREST_GZIP_TIMES = 1.4;
const PGBACKREST_EFFORT_TIMES = 2.8;

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
  for (const peer of bench.peers.filter(({ packs }) => packs(codec))) {
    const floor = await peerBacklog(bench, peer, codec);
    const times = peer.name === PGBACKREST && codec === 'gzip' ? PGBACKREST_GZIP_TIMES : 1;
    const goal: Goal = { times: { atLeast: times } };
    report.add({ name: `${name}, against ${peer.name}`, value: each(wallMs), unit, floor, goal });
  }
  return { place, names: queue.names };
}

/** The same where no option fixes a level. */
export async function measureEffort(bench: Bench): Promise<void> {
  const { options, report, store } = bench;
  const { wallMs, cpuMs } = await archiveBacklog(bench, { objectStore: EFFORT_STORE, serverName: 'effort' });
  const name = `backlog of ${options.count}, gzip, default effort`;
  const note = `${(wallMs / 1000).toFixed(1)} s`;
  const unit = 'ms/segment';
  const value = wallMs / options.count;
  report.add({ name, value, unit, note });
  report.add({ name: `${name}, CPU`, value: cpuMs / options.count, unit });
  const peer = bench.peers.find((candidate) => candidate.name === PGBACKREST);
  if (peer !== undefined) {
    const floor = await peerBacklog(bench, peer, 'gzip');
    const goal: Goal = { times: { atLeast: PGBACKREST_EFFORT_TIMES } };
    report.add({ name: `${name}, against ${PGBACKREST} gzip 6`, value, unit, floor, goal });
  }
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

/** Milliseconds for each segment, of a backlog like ours. */
async function peerBacklog(bench: Bench, peer: WalPeer, codec: CodecName): Promise<number> {
  const { options, segments, rig, peerBacklogs } = bench;
  const known = peerBacklogs.get(`${peer.name} ${codec}`);
  if (known !== undefined) return known;
  const queue = await layOut(rig, segments.files, { count: options.count, sizeBytes: segments.sizeBytes });
  const eachMs = await peer.archiveBacklog(codec, queue);
  peerBacklogs.set(`${peer.name} ${codec}`, eachMs);
  return eachMs;
}
