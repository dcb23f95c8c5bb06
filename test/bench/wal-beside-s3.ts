// The story of `bench -- wal --store azure|gcs`: the same segments into another provider's store and into S3, in turns. The
// servers are emulators of different speed: only the CPU time of an adapter has a goal.
import { setTimeout as delay } from 'node:timers/promises';
import type { Provider } from '../../sidecar/store/destination.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { median } from '../demo/report.ts';
import { measureAdapters } from './adapter.ts';
import type { CodecName, WalOptions } from './options.ts';
import { PACKINGS } from './packings.ts';
import { forgetPeak, peakMiB, residentMiB } from './process-figures.ts';
import { nameAt, type OtherPlace, type OtherProvider, s3Place, startOtherPlace } from './provider-place.ts';
import type { Report } from './report.ts';
import { MAX_PARALLEL, type Rig, type Sidecar, startRig, storeName } from './rig.ts';
import { type Segments, takeSegments } from './segments.ts';
import { type BenchStore, startStore } from './store.ts';
import { layOut } from './wal-queue.ts';

type Run = {
  options: WalOptions;
  report: Report;
  segments: Segments;
  store: BenchStore;
  other: OtherPlace;
  rig: Rig;
};

const WARM_UP = 3;
const MEMORY_SEGMENTS = 32;
const QUIET_MS = 3000;

/** Runs the parts that were asked for. What is started is in `cleanup`. */
export async function benchWalBesideS3(
  options: WalOptions,
  provider: OtherProvider,
  report: Report,
  cleanup: Cleanup,
): Promise<void> {
  const { segmentsFolder: folder, poolSize: count, segmentSizeBytes: sizeBytes, profileFolder, parts } = options;
  const segments = await takeSegments({ folder, count, sizeBytes, cleanup, say: report.say });
  const store = await startStore(options.s3, cleanup);
  const other = await startOtherPlace(provider, cleanup);
  const rig = await startRig({ store, other, controlFile: segments.controlFile, profileFolder, cleanup });
  report.say(`stores     ${other.what}; S3: ${store.what}, whose figures are the floor\n`);
  const run = { options, report, segments, store, other, rig };
  if (parts.has('one')) for (const codec of options.codecs) await compareOneSegment(run, codec);
  if (parts.has('memory')) await compareMemory(run);
  if (parts.has('adapter')) await measureAdapters([s3Place(store), other], { ...options, report, cleanup });
}

/** The median of the call through the socket, once for each store with the same file. */
async function compareOneSegment({ options, report, segments, store, other, rig }: Run, codec: CodecName) {
  const count = WARM_UP + options.repeats;
  const queue = await layOut(rig, segments.files, { count, sizeBytes: segments.sizeBytes });
  const calls: Record<'s3' | 'other', number[]> = { s3: [], other: [] };
  const sidecar = await rig.start();
  for (const [at, path] of queue.paths.entries()) {
    for (const [side, provider] of [['s3', 's3'] as const, ['other', other.provider] as const]) {
      const startedAt = performance.now();
      await sidecar.archive({ objectStore: nameAt(provider, storeName(codec, 'single')), serverName: codec }, path);
      if (at >= WARM_UP) calls[side].push(performance.now() - startedAt);
    }
  }
  await sidecar.stop();
  const name = `one segment, ${PACKINGS[codec].label}, ${other.provider}, p50`;
  report.add({ name, value: median(calls.other), unit: 'ms', floor: median(calls.s3) });
  await Promise.all([store.empty(), other.empty()]);
}

/** Each store with a sidecar of its own, which has loaded no other adapter. */
async function compareMemory(run: Run): Promise<void> {
  const { report, store, other, rig } = run;
  const figures: { idle: number; peak: number; after: number }[] = [];
  for (const provider of ['s3', other.provider] as const) {
    const sidecar = await rig.start();
    figures.push(await memoryOf(run, sidecar, provider));
    await sidecar.stop();
  }
  const [s3, theirs] = figures;
  const add = (what: string, value = 0, floor = 0) =>
    report.add({ name: `memory, ${other.provider}, ${what}`, value, unit: 'MiB', floor });
  add('after one segment', theirs?.idle, s3?.idle);
  add(`${MAX_PARALLEL} gzip 6 in flight, peak`, theirs?.peak, s3?.peak);
  add('idle after that', theirs?.after, s3?.after);
  await Promise.all([store.empty(), other.empty()]);
}

async function memoryOf({ options, segments, rig }: Run, sidecar: Sidecar, provider: Provider) {
  const { sizeBytes } = segments;
  const place = { objectStore: nameAt(provider, storeName('gzip', 'ahead')), serverName: 'memory' };
  const first = await layOut(rig, segments.files, { count: 1, sizeBytes });
  await first.archiveAll(sidecar, { ...place, serverName: 'first' });
  const quietMs = options.smoke ? 0 : QUIET_MS;
  await delay(quietMs);
  const idle = residentMiB(sidecar.pid);
  const count = options.smoke ? options.count : MEMORY_SEGMENTS;
  const queue = await layOut(rig, segments.files, { count, sizeBytes });
  forgetPeak(sidecar.pid);
  await queue.archiveAll(sidecar, place);
  const peak = peakMiB(sidecar.pid);
  await delay(quietMs);
  return { idle, peak, after: residentMiB(sidecar.pid) };
}
