// What the sidecar's memory comes to, resident, MiB.
import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, withSidecar } from './bench.ts';
import { forgetPeak, peakMiB, residentMiB } from './process-figures.ts';
import { MAX_PARALLEL, storeName } from './rig.ts';
import { layOut } from './wal-queue.ts';

const IDLE_LIMIT_MIB = 90;
const GZIP_LIMIT_MIB = 160;
/**
 * The stated formula: base + in flight × packed segment. The base is the process with its libraries (100), eight streams and
 * sockets (20), and what V8 lets stand of buffers before it collects them (60).
 */
const BASE_MIB = 180;
const GZIP_SEGMENTS = 32;
const QUIET_MS = 3000;

export async function measureMemory(bench: Bench): Promise<void> {
  await measureGzip(bench);
  const segmentMiB = bench.segments.sizeBytes / 1024 / 1024;
  const packed = BASE_MIB + MAX_PARALLEL * segmentMiB;
  await measureNoise(bench, 'gzip', packed, `${BASE_MIB} + ${MAX_PARALLEL} × ${segmentMiB}`);
  await measureNoise(bench, 'none', BASE_MIB, `${BASE_MIB}: what is not packed streams from disk`);
}

async function measureGzip(bench: Bench): Promise<void> {
  const { report, rig, segments, store, options } = bench;
  const count = options.smoke ? options.count : GZIP_SEGMENTS;
  await withSidecar(bench, async (sidecar) => {
    const { pid } = sidecar;
    const unit = 'MiB';
    report.add({ name: 'memory, idle', value: residentMiB(pid), unit, goal: { value: { atMost: IDLE_LIMIT_MIB } } });
    const queue = await layOut(rig, segments.files, { count, sizeBytes: segments.sizeBytes });
    forgetPeak(pid);
    await queue.archiveAll(sidecar, { objectStore: storeName('gzip', 'ahead'), serverName: 'memory' });
    const goal = { value: { atMost: GZIP_LIMIT_MIB } };
    report.add({ name: `memory, ${MAX_PARALLEL} gzip 6 in flight, peak`, value: peakMiB(pid), unit, goal });
    await delay(options.smoke ? 0 : QUIET_MS);
    report.add({ name: 'memory, idle after that', value: residentMiB(pid), unit });
  });
  await store.empty();
}

async function measureNoise(bench: Bench, codec: 'gzip' | 'none', limitMiB: number, formula: string): Promise<void> {
  const { report, rig, segments, store, options } = bench;
  const { count } = options;
  await withSidecar(bench, async (sidecar) => {
    const queue = await layOut(rig, segments.noise, { count, sizeBytes: segments.sizeBytes });
    forgetPeak(sidecar.pid);
    await queue.archiveAll(sidecar, { objectStore: storeName(codec, 'ahead'), serverName: 'noise' });
    const goal = { value: { atMost: limitMiB } };
    const name = `memory, ${count} incompressible, ${codec}, peak`;
    report.add({ name, value: peakMiB(sidecar.pid), unit: 'MiB', goal, note: `formula: ${formula}` });
  });
  await store.empty();
}
