// A folder that a restore fills: must be absent or empty before, and is so again after a failure.
import { access, constants, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, messageOf, PreconditionError } from '../../api/errors.ts';
import { orVanished } from '../backup/tree.ts';
import { nearestExisting } from './checks/space.ts';

export type TargetFolder = {
  path: string;
  /** For messages: `PGDATA`. */
  purpose: string;
  /** Makes the folder, mode 0700, with missing parents. */
  prepare(): Promise<void>;
  /** Removes what is in it, and the folder if it was not there before. */
  clear(): Promise<void>;
};

/**
 * Looks at a folder; touches nothing. Throws ConflictError when something is in it, PreconditionError when it cannot be
 * made or filled.
 */
export async function targetFolder(path: string, purpose: string): Promise<TargetFolder> {
  const names = await orVanished(readdir(path)).catch((error) => {
    throw unusable(path, purpose, error);
  });
  if (names !== undefined && names.length > 0) {
    throw new ConflictError(
      `${purpose} ${path} is not empty: found ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}; ` +
        'restore into an absent or empty folder',
    );
  }
  await assertWritable(path, purpose);
  return {
    path,
    purpose,
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

/** The root of a container is read-only: what no volume is mounted for cannot be made. */
async function assertWritable(path: string, purpose: string): Promise<void> {
  try {
    await access(await nearestExisting(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable(path, purpose, error);
  }
}

function unusable(path: string, purpose: string, error: unknown): PreconditionError {
  return new PreconditionError(`${purpose} ${path} cannot be made: ${messageOf(error)}`, {
    cause: error,
    hint: 'give the Cluster a volume there (a tablespace: spec.tablespaces), or place it with --tablespace=NAME:LOCATION',
  });
}
