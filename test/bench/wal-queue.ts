// A pg_wal as PostgreSQL leaves it when archiving lags: segments, and a `.ready` file for each. They are asked for as
// PostgreSQL does it: one after the other, and the mark is changed after each answer.
import { copyFile, link, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { nextSegment } from '../../api/wal-name.ts';
import type { Place, Rig, Sidecar } from './rig.ts';

export type WalQueue = {
  /** Names in order. */
  names: string[];
  paths: string[];
  /** Archives them all through the sidecar; returns the milliseconds of each call. */
  archiveAll(sidecar: Sidecar, place: Place): Promise<number[]>;
  /** The same by any program. */
  archiveWith(archive: (path: string) => Promise<unknown>): Promise<number[]>;
};

const BEFORE_FIRST = '000000010000000000000000';

/**
 * Replaces what is in pg_wal. Segments are links to `files`, again and again until there are enough; `copies` makes new
 * files of them. `after` is the name before the first.
 */
export async function layOut(
  rig: Rig,
  files: readonly string[],
  options: { count: number; sizeBytes: number; copies?: boolean; after?: string },
): Promise<WalQueue> {
  await rm(rig.pgWal, { recursive: true, force: true });
  const marks = join(rig.pgWal, 'archive_status');
  await mkdir(marks, { recursive: true });
  const names = consecutive(options.after ?? BEFORE_FIRST, options.count, options.sizeBytes);
  const place = options.copies === true ? copyFile : linkOrCopy;
  for (const [at, name] of names.entries()) {
    await place(files[at % files.length] ?? '', join(rig.pgWal, name));
    await writeFile(join(marks, `${name}.ready`), '');
  }
  await rig.own(rig.pgWal);
  const paths = names.map((name) => join(rig.pgWal, name));
  const archiveWith: WalQueue['archiveWith'] = async (archive) => {
    const calls: number[] = [];
    for (const path of paths) {
      const startedAt = performance.now();
      await archive(path);
      calls.push(performance.now() - startedAt);
      const mark = join(marks, basename(path));
      await rename(`${mark}.ready`, `${mark}.done`);
    }
    return calls;
  };
  return {
    ...{ names, paths, archiveWith },
    archiveAll: (sidecar, place) => archiveWith((path) => sidecar.archive(place, path)),
  };
}

function consecutive(after: string, count: number, sizeBytes: number): string[] {
  const names: string[] = [];
  for (let last = after; names.length < count; names.push(last)) last = nextSegment(last, sizeBytes) ?? '';
  return names;
}

/** Links cost no space, but end at the border of a file system. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EXDEV') throw error;
    await copyFile(from, to);
  }
}
