// Whether the volumes have room for a backup.
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PreconditionError } from '../../../api/errors.ts';
import { orVanished } from '../../backup/tree.ts';

/** A tree to be restored, and what its tars take in the store: it will not take less on the disk. */
export type TreeSpace = { path: string; purpose: string; leastBytes: number };

type Volume = { device: number; freeBytes: number; leastBytes: number; purposes: string[] };

/**
 * What the server reported counts temporary files and, with other writers, unlogged relations, which are not in the backup: three
 * quarters of it are surely needed.
 */
const SURELY_NEEDED = 0.75;
const MIB = 1024 * 1024;

/**
 * Throws PreconditionError when a volume is surely too small for the trees that lie on it, or all of them together for the
 * size that the server reported when it was backed up. `totalBytes` is undefined where that is not known.
 */
export async function assertSpace(trees: readonly TreeSpace[], totalBytes: number | undefined): Promise<void> {
  const volumes = await volumesOf(trees);
  for (const { freeBytes, leastBytes, purposes } of volumes) {
    if (freeBytes < leastBytes) throw tooSmall(purposes.join(' and '), freeBytes, leastBytes);
  }
  const freeBytes = volumes.reduce((sum, volume) => sum + volume.freeBytes, 0);
  const surelyBytes = (totalBytes ?? 0) * SURELY_NEEDED;
  if (freeBytes < surelyBytes) {
    throw tooSmall(volumes.flatMap(({ purposes }) => purposes).join(' and '), freeBytes, surelyBytes);
  }
}

async function volumesOf(trees: readonly TreeSpace[]): Promise<Volume[]> {
  const volumes: Volume[] = [];
  for (const { path, purpose, leastBytes } of trees) {
    const existing = await nearestExisting(path);
    const { dev: device } = await stat(existing);
    const known = volumes.find((volume) => volume.device === device);
    if (known === undefined) {
      const { bavail, bsize } = await statfs(existing);
      volumes.push({ device, freeBytes: bavail * bsize, leastBytes, purposes: [purpose] });
    } else {
      known.leastBytes += leastBytes;
      known.purposes.push(purpose);
    }
  }
  return volumes;
}

/** The folder itself, or the first one above it that is there. */
export async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    if (at === dirname(at) || (await orVanished(stat(at))) !== undefined) return at;
  }
}

function tooSmall(purposes: string, freeBytes: number, neededBytes: number): PreconditionError {
  return new PreconditionError(
    `there is not enough room for ${purposes}: ${Math.floor(freeBytes / MIB)} MiB are free, ` +
      `the backup needs ${Math.ceil(neededBytes / MIB)} MiB or more`,
    { hint: 'make the volumes larger (spec.storage, spec.tablespaces), or restore an earlier, smaller backup' },
  );
}
