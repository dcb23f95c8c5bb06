// A folder that a restore fills: must be absent or empty before, and is so again after a failure.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError } from '../../api/errors.ts';
import { orVanished } from '../backup/tree.ts';

export type TargetFolder = {
  path: string;
  /** Makes the folder, mode 0700, with missing parents. */
  prepare(): Promise<void>;
  /** Removes what is in it, and the folder if it was not there before. */
  clear(): Promise<void>;
};

/** Looks at a folder; touches nothing. Throws ConflictError when something is in it. */
export async function targetFolder(path: string, purpose: string): Promise<TargetFolder> {
  const names = await orVanished(readdir(path));
  if (names !== undefined && names.length > 0) {
    throw new ConflictError(
      `${purpose} ${path} is not empty: found ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}; ` +
        'restore into an absent or empty folder',
    );
  }
  return {
    path,
    prepare: async () => {
      await mkdir(path, { recursive: true, mode: 0o700 });
    },
    clear: async () => {
      if (names === undefined) {
        await rm(path, { recursive: true, force: true });
        return;
      }
      for (const name of await readdir(path)) await rm(join(path, name), { recursive: true, force: true });
    },
  };
}
