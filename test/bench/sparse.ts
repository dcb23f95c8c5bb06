// Files full of zeros that take no space, named as the segments of a relation that PostgreSQL does not know and leaves alone.
import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** No relation of a database as young as ours. */
const RELFILENODE = '4100000000';
const SEGMENT_MIB = 1024;

/** Adds so much to one of the databases; `removeSparse` takes it away. */
export async function addSparse(pgdata: string, sizeMiB: number): Promise<void> {
  const [database = ''] = await readdir(join(pgdata, 'base'));
  for (let segment = 0; segment * SEGMENT_MIB < sizeMiB; segment += 1) {
    const name = segment === 0 ? RELFILENODE : `${RELFILENODE}.${segment}`;
    const file = await open(join(pgdata, 'base', database, name), 'w', 0o644);
    try {
      await file.truncate(Math.min(SEGMENT_MIB, sizeMiB - segment * SEGMENT_MIB) * 1024 * 1024);
    } finally {
      await file.close();
    }
  }
}

/** Removes what `addSparse` made, if anything. */
export async function removeSparse(pgdata: string): Promise<void> {
  for (const path of await readdir(join(pgdata, 'base'), { recursive: true })) {
    if (path.includes(RELFILENODE)) await rm(join(pgdata, 'base', path));
  }
}
