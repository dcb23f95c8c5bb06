// Whether reading segments fills the page cache: PostgreSQL has just written them, so they should be there already.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findOnPath } from '../interop/path.ts';
import { type Bench, withSidecar } from './bench.ts';
import { storeName } from './rig.ts';
import { layOut } from './wal-queue.ts';

const run = promisify(execFile);
const MOST_SEGMENTS = 16;

/** Measures with new copies of segments, once as they were written and once after the system has forgotten them. */
export async function measurePageCache(bench: Bench): Promise<void> {
  const { report } = bench;
  if (findOnPath('fincore') === undefined || findOnPath('dd') === undefined) {
    report.say('page cache: not measured, fincore of util-linux or dd is not on the PATH');
    return;
  }
  const written = await archiveCopies(bench, 'written');
  const goal = { times: { atMost: 1 } } as const;
  const name = 'page cache, segments just written, after archiving';
  report.add({ name, value: written.after, unit: 'MiB', floor: written.before, goal, note: 'floor: before archiving' });
  const forgotten = await archiveCopies(bench, 'forgotten');
  const note = `${forgotten.before.toFixed(1)} before`;
  report.add({ name: 'page cache, segments not in it, after archiving', value: forgotten.after, unit: 'MiB', note });
  await bench.store.empty();
}

async function archiveCopies(bench: Bench, state: 'written' | 'forgotten'): Promise<{ before: number; after: number }> {
  const { rig, segments, options } = bench;
  const count = Math.min(options.count, MOST_SEGMENTS);
  return withSidecar(bench, async (sidecar) => {
    const { sizeBytes } = segments;
    const queue = await layOut(rig, segments.files, { count, sizeBytes, copies: true });
    if (state === 'forgotten') for (const path of queue.paths) await forget(path);
    const before = await residentMiB(queue.paths);
    await queue.archiveAll(sidecar, { objectStore: storeName('gzip', 'ahead'), serverName: `cache-${state}` });
    return { before, after: await residentMiB(queue.paths) };
  });
}

async function residentMiB(paths: readonly string[]): Promise<number> {
  const { stdout } = await run('fincore', ['--bytes', '--noheadings', '--output', 'RES', ...paths]);
  return stdout.split('\n').reduce((sum, line) => sum + Number(line), 0) / 1024 / 1024;
}

/** Written back first: the system forgets clean pages only. */
async function forget(path: string): Promise<void> {
  await run('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none', 'if=/dev/null']);
}
