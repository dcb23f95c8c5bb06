// The story of `bench -- backup`: a database, a store, floors, then one way of packing after the other, then the memory.
import type { Cleanup } from '../demo/cleanup.ts';
import { type BaseBench, placeOf, prepareBaseBench, tarsOf } from './base-bench.ts';
import { measureBaseMemory, PEAK_LIMIT_MIB } from './base-memory.ts';
import type { BaseOptions, DataCodecName } from './base-options.ts';
import { totalBytes } from './data-files.ts';
import { dataPacking } from './data-packings.ts';
import { hasFloor } from './floor-codecs.ts';
import type { PeerName } from './peers/peer.ts';
import { cpuSeconds, forgetPeak, peakMiB } from './process-figures.ts';
import type { Goal, Report } from './report.ts';

/** `peers`: times as fast as one, where that is more than ahead of it. */
type Goals = { wall?: Goal; cpu?: Goal; peak?: Goal; peers: Partial<Record<PeerName, number>> };

const GOALS: Record<DataCodecName, Goals> = {
  gzip: {
    ...{ wall: { times: { atMost: 1.25 } }, cpu: { times: { atMost: 1.15 } } },
    ...{ peak: { value: { atMost: PEAK_LIMIT_MIB } }, peers: { barman: 8, pgBackRest: 1.4 } },
  },
  bzip2: { peers: { barman: 1.5 } },
  lz4: { wall: { times: { atMost: 1.4 } }, peers: {} },
  none: { wall: { times: { atMost: 1.4 } }, peers: {} },
};

/** Runs the parts that were asked for. What is started is in `cleanup`. */
export async function benchBackup(options: BaseOptions, report: Report, cleanup: Cleanup): Promise<void> {
  const bench = await prepareBaseBench(options, report, cleanup);
  if (options.parts.has('codecs')) for (const codec of options.codecs) await measureBackup(bench, codec);
  if (options.parts.has('memory')) await measureBaseMemory(bench, cleanup);
}

async function measureBackup(bench: BaseBench, codec: DataCodecName): Promise<void> {
  const { report, rig, floor, store, paths, peers, sizeGiB } = bench;
  const { label, level } = dataPacking(codec, bench.options.gzipLevel);
  const goals = GOALS[codec];
  const place = placeOf(codec);
  // Reading comes first: then everybody finds the folder in the page cache.
  const read = await floor.measure({ kind: 'read', paths });
  const sidecar = await rig.startInstance();
  const { pid } = sidecar;
  forgetPeak(pid);
  const cpu = cpuSeconds(pid);
  const startedAt = performance.now();
  await sidecar.backup(place);
  const value = (performance.now() - startedAt) / 1000;
  const cpuValue = cpuSeconds(pid) - cpu;
  const peak = peakMiB(pid);

  const objects = await tarsOf(bench, place);
  const put = await floor.measure({ kind: 'put', objects });
  const pack = hasFloor(codec) ? await floor.measure({ kind: 'pack', paths, codec, level }) : undefined;
  const slowest = pack === undefined ? undefined : Math.max(read.wallMs, pack.wallMs, put.wallMs) / 1000;
  const packed = pack === undefined ? '' : `, pack ${inSeconds(pack.wallMs)}`;
  const note = `read ${inSeconds(read.wallMs)}${packed}, put ${inSeconds(put.wallMs)} s; ${mebibytes(objects)} MiB stored`;
  const name = `backup, ${label}`;
  report.add({ name, value, unit: 's', floor: slowest, note, ...goalOf(goals.wall) });
  const codecCpu = pack === undefined || codec === 'none' ? undefined : pack.cpuMs / 1000;
  const perGiB = `${(cpuValue / sizeGiB).toFixed(1)} s/GiB`;
  report.add({ name: `${name}, CPU`, value: cpuValue, unit: 's', floor: codecCpu, note: perGiB, ...goalOf(goals.cpu) });
  report.add({ name: `${name}, peak`, value: peak, unit: 'MiB', ...goalOf(goals.peak) });
  // Our sidecar goes on archiving: a server that waits for its WAL would make every peer wait.
  for (const peer of peers.filter(({ packs }) => packs(codec))) {
    const theirs = (await peer.backup(codec)) / 1000;
    const goal: Goal = { times: { atLeast: goals.peers[peer.name] ?? 1 } };
    report.add({ name: `${name}, against ${peer.name}`, value, unit: 's', floor: theirs, peer: true, goal });
  }
  await sidecar.stop();
  await store.empty();
}

function goalOf(goal: Goal | undefined): { goal?: Goal } {
  return goal === undefined ? {} : { goal };
}

function inSeconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(2);
}

function mebibytes(objects: readonly { sizeBytes: number }[]): string {
  return (totalBytes(objects) / 1024 / 1024).toFixed(0);
}
