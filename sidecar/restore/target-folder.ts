// A folder that a restore fills: must be absent or empty before, and is so again after a failure. A restore that was killed
// can clear nothing; its marker says that what lies there is nobody's, so that the Job's next try may begin anew.
import { access, constants, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConflictError, messageOf, PreconditionError } from '../../api/errors.ts';
import { orVanished } from '../backup/tree.ts';
import { nearestExisting } from './checks/space.ts';
import { HELD_BACK_SUFFIX } from './unpack.ts';

export type TargetFolder = {
  path: string;
  /** For messages: `PGDATA`. */
  purpose: string;
  /** Makes the folder, mode 0700, with missing parents; empties what a dead restore left; puts the marker into it. */
  prepare(): Promise<void>;
  /** Takes the marker away: from now on what is there counts. */
  keep(): Promise<void>;
  /** Removes what is in it, and the folder if it was not there before. */
  clear(): Promise<void>;
};

/** No tar can bring it: its name is ours (unpack.ts). */
const MARKER = HELD_BACK_SUFFIX;

/**
 * Looks at a folder; touches nothing. Throws ConflictError when something is in it that no dead restore left, PreconditionError
 * when it cannot be made or filled.
 */
export async function targetFolder(path: string, purpose: string): Promise<TargetFolder> {
  const names = await orVanished(readdir(path)).catch((error) => {
    throw unusable(path, purpose, error);
  });
  if (names !== undefined && names.length > 0 && !names.includes(MARKER)) {
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
      await putMarker(path);
      await empty(path, MARKER);
    },
    keep: () => rm(join(path, MARKER), { force: true }),
    clear: async () => {
      if (names === undefined) {
        await rm(path, { recursive: true, force: true });
        return;
      }
      await empty(path, MARKER);
      await rm(join(path, MARKER), { force: true });
    },
  };
}

/** The marker goes last: until then the next try finds it. */
async function empty(path: string, marker: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (name !== marker) await rm(join(path, name), { recursive: true, force: true });
  }
}

/** On the disk before anything else, so that it outlives whatever what follows outlives. */
async function putMarker(path: string): Promise<void> {
  await open(join(path, MARKER), 'w', 0o600).then((marker) => marker.close());
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
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
