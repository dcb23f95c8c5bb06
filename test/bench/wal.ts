// The story of `bench -- wal`: segments, a store, floors, then one measure after the other.
import { availableParallelism, cpus } from 'node:os';
import type { Cleanup } from '../demo/cleanup.ts';
import { measureAdapters } from './adapter.ts';
import { measureBacklog, measureEffort } from './backlog.ts';
import type { Bench } from './bench.ts';
import { startFloor } from './floor.ts';
import { measureMemory } from './memory.ts';
import { measureOneSegment } from './one-segment.ts';
import type { WalOptions } from './options.ts';
import { measurePageCache } from './page-cache.ts';
import { findWalPeers } from './peers/find.ts';
import { s3Place } from './provider-place.ts';
import type { Report } from './report.ts';
import { startRig } from './rig.ts';
import { takeSegments } from './segments.ts';
import { startStore } from './store.ts';
import { benchWalBesideS3 } from './wal-beside-s3.ts';
import { measureRestore } from './wal-restore.ts';

/** Runs the parts that were asked for. What is started is in `cleanup`. */
export async function benchWal(options: WalOptions, report: Report, cleanup: Cleanup): Promise<void> {
  if (options.store !== 's3') return benchWalBesideS3(options, options.store, report, cleanup);
  const bench = await prepare(options, report, cleanup);
  const { parts, codecs } = options;
  if (parts.has('one')) for (const codec of codecs) await measureOneSegment(bench, codec);
  if (parts.has('backlog')) {
    for (const codec of codecs.filter((name) => name !== 'bzip2')) {
      await measureRestore(bench, codec, await measureBacklog(bench, codec));
      await bench.store.empty();
    }
  }
  if (parts.has('effort')) await measureEffort(bench);
  if (parts.has('memory')) await measureMemory(bench);
  if (parts.has('cache')) await measurePageCache(bench);
  if (parts.has('adapter')) await measureAdapters([s3Place(bench.store)], { ...options, report, cleanup });
}

async function prepare(options: WalOptions, report: Report, cleanup: Cleanup): Promise<Bench> {
  const { segmentsFolder: folder, poolSize: count, segmentSizeBytes: sizeBytes, profileFolder } = options;
  const segments = await takeSegments({ folder, count, sizeBytes, cleanup, say: report.say });
  const store = await startStore(options.s3, cleanup);
  const rig = await startRig({ store, controlFile: segments.controlFile, profileFolder, cleanup });
  const floor = startFloor(store, cleanup);
  const { peers, said } = await findWalPeers({ ...rig, store, cleanup });
  report.say(`machine    ${availableParallelism()} × ${cpus()[0]?.model.trim()}, Node ${process.version}`);
  report.say(`segments   ${segments.files.length} different ones of ${sizeBytes / 1024 / 1024} MiB from ${folder}`);
  report.say(`store      ${store.what}`);
  report.say(`peers      ${said.join('; ')}\n`);
  const sharedSidecar = options.smoke ? await rig.start() : undefined;
  return { options, report, store, segments, rig, floor, peers, peerBacklogs: new Map(), sharedSidecar };
}
