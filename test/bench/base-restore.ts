// The story of `bench -- restore`: backups are taken by us and by the peers, then each is brought back.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cleanup } from '../demo/cleanup.ts';
import { type BaseBench, placeOf, prepareBaseBench, tarsOf } from './base-bench.ts';
import type { BaseOptions, DataCodecName } from './base-options.ts';
import type { BasePlace } from './base-rig.ts';
import { assertRestored } from './data-files.ts';
import { dataPacking } from './data-packings.ts';
import type { DataTask, FloorAnswer } from './floor.ts';
import { hasFloor } from './floor-codecs.ts';
import { cpuSeconds, forgetPeak, peakMiB } from './process-figures.ts';
import type { Goal, Report } from './report.ts';

/** A cell of the measures: what lies in the store, and what is wanted of bringing it back. */
type Stored = {
  name: string;
  place: BasePlace;
  wall?: Goal;
  cpuPerGiB?: Goal;
  /** Times as fast as barman with the same backup. */
  barmanTimes: number;
  /** Unpacking for itself; undefined when nothing is unpacked, or no library is here to compare with. */
  unpack: DataTask | undefined;
};

type OursGoals = Pick<Stored, 'wall' | 'cpuPerGiB' | 'barmanTimes'>;

const FLOOR_GOAL: Goal = { times: { atMost: 1.3 } };
const GOALS: Record<DataCodecName, OursGoals> = {
  gzip: { cpuPerGiB: { value: { atMost: 3.5 } }, barmanTimes: 1.6 },
  lz4: { wall: FLOOR_GOAL, barmanTimes: 1 },
  none: { wall: FLOOR_GOAL, barmanTimes: 1 },
  bzip2: { barmanTimes: 1 },
};

/** Brings back what we wrote in each way of packing, and the gzip that barman wrote. What is started is in `cleanup`. */
export async function benchRestore(options: BaseOptions, report: Report, cleanup: Cleanup): Promise<void> {
  const bench = await prepareBaseBench(options, report, cleanup);
  const { rig, floor, barman, paths } = bench;
  const folder = join(rig.folder, 'floor-written');
  const { wallMs: writeMs } = await floor.measure({ kind: 'write', paths, folder });
  await rm(folder, { recursive: true });
  const archiving = await rig.startInstance();
  for (const codec of options.codecs) {
    const place = placeOf(codec);
    await archiving.backup(place);
    const { label, level } = dataPacking(codec, options.gzipLevel);
    const packs = codec !== 'none' && hasFloor(codec);
    const unpack: DataTask | undefined = packs ? { kind: 'unpack', paths, codec, level } : undefined;
    await measureRestored(bench, { name: `restore, ${label} that we wrote`, place, unpack, ...GOALS[codec] }, writeMs);
    await bench.store.empty();
    if (codec !== 'gzip') continue;
    if (barman === undefined) {
      report.say('restore, gzip that barman wrote: not measured, barman is not on the PATH');
      continue;
    }
    const theirs: BasePlace = { codec, serverName: 'barman-wrote' };
    await rig.archiveTo(theirs);
    await barman.backupTo(theirs.serverName, codec);
    const gunzip: DataTask = { kind: 'gunzip', objects: await tarsOf(bench, theirs) };
    const name = 'restore, gzip that barman wrote';
    const cell: Stored = { name, place: theirs, unpack: gunzip, wall: FLOOR_GOAL, barmanTimes: 1 };
    await measureRestored(bench, cell, writeMs, []);
    await bench.store.empty();
  }
  await archiving.stop();
}

async function measureRestored(bench: BaseBench, stored: Stored, writeMs: number, peers = bench.peers): Promise<void> {
  const { report, floor, barman, rig, sizeGiB } = bench;
  const { name, place, wall, cpuPerGiB, barmanTimes } = stored;
  const { value, cpuValue, peak } = await restoreOnce(bench, place);
  const get = await floor.measure({ kind: 'get-pieces', objects: await tarsOf(bench, place) });
  const unpack: FloorAnswer | undefined = stored.unpack === undefined ? undefined : await floor.measure(stored.unpack);
  const floors = { get: get.wallMs, ...(unpack === undefined ? {} : { unpack: unpack.wallMs }), write: writeMs };
  const comparable = unpack !== undefined || place.codec === 'none';
  const note = Object.entries(floors).map(([step, ms]) => `${step} ${(ms / 1000).toFixed(2)}`);
  report.add({
    ...{ name, value, unit: 's', note: `${note.join(', ')} s`, ...goalOf(wall) },
    floor: comparable ? Math.max(...Object.values(floors)) / 1000 : undefined,
  });
  report.add({ name: `${name}, CPU`, value: cpuValue / sizeGiB, unit: 's/GiB', ...goalOf(cpuPerGiB) });
  report.add({ name: `${name}, peak`, value: peak, unit: 'MiB' });

  const folder = join(rig.folder, 'peer-restored');
  if (barman !== undefined) {
    const theirs = (await barman.restoreFrom(place.serverName, folder)) / 1000;
    const goal: Goal = { times: { atLeast: barmanTimes } };
    report.add({
      name: `${name}, against barman`,
      value,
      unit: 's',
      floor: theirs,
      peer: true,
      goal,
      note: 'the same backup',
    });
    await rm(folder, { recursive: true, force: true });
  }
  for (const peer of peers.filter((candidate) => candidate.name !== 'barman' && candidate.packs(place.codec))) {
    await peer.backup(place.codec);
    const theirs = (await peer.restore(place.codec, folder)) / 1000;
    report.add({
      name: `${name}, against ${peer.name}`,
      value,
      unit: 's',
      floor: theirs,
      peer: true,
      note: 'its own backup',
    });
    await rm(folder, { recursive: true, force: true });
  }
}

async function restoreOnce({ rig, files }: BaseBench, place: BasePlace) {
  const sidecar = await rig.startRestore();
  const { pid } = sidecar;
  forgetPeak(pid);
  const cpu = cpuSeconds(pid);
  const startedAt = performance.now();
  await sidecar.restore(place);
  const value = (performance.now() - startedAt) / 1000;
  const [cpuValue, peak] = [cpuSeconds(pid) - cpu, peakMiB(pid)];
  await sidecar.stop();
  await assertRestored(files, rig.pgdata, sidecar.pgdata);
  await rm(sidecar.pgdata, { recursive: true });
  return { value, cpuValue, peak };
}

function goalOf(goal: Goal | undefined): { goal?: Goal } {
  return goal === undefined ? {} : { goal };
}
