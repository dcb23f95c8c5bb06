// A file that this process fetched ahead, and how it comes to PostgreSQL.
import type { BigIntStats } from 'node:fs';
import { copyFile, type FileHandle, rename, stat } from 'node:fs/promises';
import { CorruptError } from '../../api/errors.ts';
import { writeDurably } from '../stream/durable-file.ts';

/**
 * A finished file as we left it. The identity (device, inode, size, time of the last write) is known to this process
 * alone: whatever else lies under the path, or was done to the file since, is not the file. Reading 16 MiB again for a
 * digest would take longer than handing them out.
 */
export type PrefetchedFile = { path: string; sizeBytes: number; identity: string };

/**
 * Brings a prefetched file to `destination`, which appears whole or not at all: by rename (the file is synced already), or
 * by a durable copy where the destination is on another file system, as PGDATA mostly is. The folder is not synced: after a
 * crash PostgreSQL asks again, and the sync would cost more than all the rest. The caller removes what may be left under
 * the path. Throws CorruptError when the file is not as it was left, and what the file system throws.
 */
export async function handOut(file: PrefetchedFile, destination: string): Promise<void> {
  if (identityOf(await stat(file.path, { bigint: true })) !== file.identity) {
    throw new CorruptError(`${file.path} was changed by somebody else after it was fetched`);
  }
  if (await renamed(file.path, destination)) return;
  const fill = async (copy: FileHandle, temporaryPath: string) => {
    await copyFile(file.path, temporaryPath);
    const { size } = await copy.stat();
    if (size !== file.sizeBytes) throw new CorruptError(`copied ${size} of ${file.sizeBytes} bytes to ${destination}`);
  };
  await writeDurably(destination, fill, { folderSync: false });
}

/** False when the two are on different file systems. */
async function renamed(path: string, destination: string): Promise<boolean> {
  try {
    await rename(path, destination);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EXDEV') return false;
    throw error;
  }
  return true;
}

/** Tells a file from every other one, and from itself after it was written to. */
export function identityOf(stats: BigIntStats): string {
  return [stats.dev, stats.ino, stats.size, stats.mtimeNs].join(':');
}
