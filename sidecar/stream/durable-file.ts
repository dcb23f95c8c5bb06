// A file appears whole or not at all: temporary name in the same folder, sync, rename, sync of the folder.
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/**
 * Lets `write` fill a temporary file and then moves it to `destination`, replacing what was there. When anything fails
 * the temporary file is removed, `destination` is untouched, and the first error is thrown. Mode 0600 unless told.
 * `folderSync: false` leaves the last step out, for files that are simply asked for again if a crash loses their name.
 */
export async function writeDurably(
  destination: string,
  write: (file: FileHandle, temporaryPath: string) => Promise<void>,
  options?: { mode?: number; folderSync?: boolean },
): Promise<void> {
  const folder = dirname(destination);
  const temporaryPath = join(folder, `.${basename(destination)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporaryPath, 'wx', options?.mode ?? 0o600);
    try {
      await write(file, temporaryPath);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporaryPath, destination);
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  }
  if (options?.folderSync ?? true) await syncFolder(folder);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
