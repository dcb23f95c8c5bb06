// The files of a data folder that a base backup copies.
import assert from 'node:assert/strict';
import { open, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';

export type DataFile = { path: string; sizeBytes: number };

const BLOCK_BYTES = 1024 * 1024;
/** What tells two folders apart: relations far apart in size, and all of the largest. */
const COMPARED_FILES = 8;

/** All of them but WAL and what belongs to the running server, in the order of the folders. */
export async function listDataFiles(pgdata: string): Promise<DataFile[]> {
  const files: DataFile[] = [];
  for (const entry of await readdir(pgdata, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !/^(pg_wal\/|postmaster\.)/.test(relative(pgdata, path))) {
      files.push({ path, sizeBytes: (await stat(path)).size });
    }
  }
  return files;
}

export function totalBytes(files: readonly { sizeBytes: number }[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Throws unless the largest relations are the same in both folders. Files are those of the first. */
export async function assertRestored(files: readonly DataFile[], pgdata: string, restored: string): Promise<void> {
  const relations = files.filter(({ path }) => relative(pgdata, path).startsWith('base/'));
  const largest = relations.sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, COMPARED_FILES);
  for (const { path } of largest) await assertSame(path, join(restored, relative(pgdata, path)));
}

async function assertSame(path: string, other: string): Promise<void> {
  const [one, two] = [await open(path), await open(other)];
  try {
    const [left, right] = [Buffer.alloc(BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES)];
    for (let at = 0; ; ) {
      const { bytesRead } = await one.read(left, 0, BLOCK_BYTES, at);
      const { bytesRead: otherRead } = await two.read(right, 0, BLOCK_BYTES, at);
      const same = bytesRead === otherRead && left.subarray(0, bytesRead).equals(right.subarray(0, bytesRead));
      assert.ok(same, `${other} differs from ${path} behind byte ${at}`);
      if (bytesRead === 0) return;
      at += bytesRead;
    }
  } finally {
    await one.close();
    await two.close();
  }
}
