// Segments brought back in order, as a recovery asks for them.
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { median } from '../demo/report.ts';
import { type Bench, withSidecar } from './bench.ts';
import type { CodecName } from './options.ts';
import { PACKINGS } from './packings.ts';
import { cpuSeconds } from './process-figures.ts';
import { MAX_PARALLEL, type Place, type Sidecar } from './rig.ts';

/** PostgreSQL's own name for the file that it replays. */
const REPLAYED = 'RECOVERYXLOG';
/** Calls with a pause before each, as if PostgreSQL replayed meanwhile. */
const MOST_PACED = 30;
/** Of what prefetching needs for a segment: then it is ahead. */
const PAUSE_TIMES = 1.5;

/** Restores what was archived before: as fast as it is answered, then at a server's pace. */
export async function measureRestore(bench: Bench, codec: CodecName, archived: { place: Place; names: string[] }) {
  const { report, rig } = bench;
  const { place, names } = archived;
  const { label } = PACKINGS[codec];
  const { wallMs, cpuMs } = await withSidecar(bench, (sidecar) => restoreAll(bench, sidecar, archived));
  const perSegmentMs = wallMs / names.length;
  const { getMs, decodeMs } = await measureFloor(bench, codec, place);
  report.add({
    ...{ name: `restore of ${names.length}, ${label}`, value: perSegmentMs, unit: 'ms/segment' },
    ...{ floor: Math.max(getMs, decodeMs), goal: { times: { atLeast: 0.8 } } },
    note: `GET ${getMs.toFixed(1)}, decode ${decodeMs.toFixed(1)}; the floor is the slower`,
  });
  report.add({ name: `restore of ${names.length}, ${label}, CPU`, value: cpuMs / names.length, unit: 'ms/segment' });
  const calls = await withSidecar(bench, (sidecar) =>
    restorePaced(bench, sidecar, archived, perSegmentMs * PAUSE_TIMES),
  );
  const goal = { value: { atMost: 10 } };
  report.add({ name: `restore, ${label}, prefetched call, p50`, value: median(calls), unit: 'ms', goal });
  for (const peer of bench.peers.filter(({ packs }) => packs(codec))) {
    const destination = join(rig.pgWal, `${peer.name}.restored`);
    const { eachMs: floor, count } = await peer.restore(codec, names, destination);
    report.add({
      ...{ name: `restore, ${label}, against ${peer.name}`, value: perSegmentMs, unit: 'ms/segment' },
      ...{ floor, goal: { times: { atLeast: 1 } }, note: `of ${count}` },
    });
  }
}

async function restoreAll(bench: Bench, sidecar: Sidecar, { place, names }: { place: Place; names: string[] }) {
  const destination = join(bench.rig.pgWal, REPLAYED);
  const cpu = cpuSeconds(sidecar.pid);
  const startedAt = performance.now();
  for (const name of names) {
    await clear(destination);
    await sidecar.restore(place, name, destination);
  }
  const wallMs = performance.now() - startedAt;
  const cpuMs = (cpuSeconds(sidecar.pid) - cpu) * 1000;
  const last = await readFile(join(bench.rig.pgWal, names.at(-1) ?? ''));
  assert.ok(last.equals(await readFile(destination)), 'the restored segment differs from the archived one');
  return { wallMs, cpuMs };
}

async function restorePaced(
  bench: Bench,
  sidecar: Sidecar,
  { place, names }: { place: Place; names: string[] },
  pauseMs: number,
): Promise<number[]> {
  const destination = join(bench.rig.pgWal, REPLAYED);
  const calls: number[] = [];
  for (const name of names.slice(0, MOST_PACED)) {
    await clear(destination);
    const startedAt = performance.now();
    await sidecar.restore(place, name, destination);
    calls.push(performance.now() - startedAt);
    await delay(pauseMs);
  }
  // Nothing was ahead of the first.
  return calls.slice(1);
}

/** PostgreSQL removes the file that it has replayed before it asks for the next one (xlogarchive.c, RestoreArchivedFile). */
function clear(destination: string): Promise<void> {
  return rm(destination, { force: true });
}

/** Each for itself on all cores, milliseconds for a segment. */
async function measureFloor(bench: Bench, codec: CodecName, { serverName }: Place) {
  const objects = await bench.store.list(`${serverName}/wals/`);
  const keys = objects.map(({ key }) => key);
  const inFlight = MAX_PARALLEL;
  const different = bench.segments.files.length;
  const { wallMs: getMs } = await bench.floor.measure({ kind: 'get', keys, inFlight });
  const { wallMs: decodeMs } = await bench.floor.measure({ kind: 'decode', keys, codec, inFlight, different });
  return { getMs: getMs / keys.length, decodeMs: decodeMs / keys.length };
}
