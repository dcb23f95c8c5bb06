// `npm run soak`: archives thousands of small segments in one process and shows whether its memory grows.
import { parseArgs } from 'node:util';
import { createCleanup } from '../demo/cleanup.ts';
import { defaultSegmentsFolder, readCount } from './options.ts';
import { residentMiB } from './process-figures.ts';
import { createReport } from './report.ts';
import { startRig, storeName } from './rig.ts';
import { takeSegments } from './segments.ts';
import { startStore } from './store.ts';
import { layOut } from './wal-queue.ts';

const DEFAULT_COUNT = 5000;
const SEGMENT_BYTES = 1024 * 1024;
const POOL = 16;
const BEGIN = '000000010000000000000000';
/** Looks at the memory; the first is what the last is compared with. */
const LOOKS = 5;
/** More is growth, less is how a heap breathes. */
const MOST_GROWTH = 1.05;

const { values } = parseArgs({ options: { count: { type: 'string' } } });
const count = readCount('--count', values.count, DEFAULT_COUNT);
const cleanup = createCleanup();
// A signal often comes twice, from the terminal and from npm: the second must not cut the cleaning up short.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void cleanup.run().finally(() => process.exit(130)));
}
try {
  await soak();
} finally {
  await cleanup.run();
}

async function soak(): Promise<void> {
  const report = createReport();
  const folder = defaultSegmentsFolder(SEGMENT_BYTES);
  const segments = await takeSegments({ folder, count: POOL, sizeBytes: SEGMENT_BYTES, cleanup, say: report.say });
  const store = await startStore(undefined, cleanup);
  const { controlFile } = segments;
  const rig = await startRig({ store, controlFile, profileFolder: undefined, cleanup });
  const sidecar = await rig.start();
  const each = Math.max(1, Math.floor(count / LOOKS));
  let first: number | undefined;
  let last = BEGIN;
  for (let look = 1; look <= LOOKS; look += 1) {
    const queue = await layOut(rig, segments.files, { count: each, sizeBytes: SEGMENT_BYTES, after: last });
    last = queue.names.at(-1) ?? last;
    await queue.archiveAll(sidecar, { objectStore: storeName('gzip', 'ahead'), serverName: 'soak' });
    const value = residentMiB(sidecar.pid);
    const name = `memory after ${look * each} segments`;
    const growth = first === undefined ? {} : { floor: first, goal: { times: { atMost: MOST_GROWTH } } };
    report.add({ name, value, unit: 'MiB', ...growth });
    first ??= value;
    await store.empty();
  }
  await sidecar.stop();
  report.printLines();
}
