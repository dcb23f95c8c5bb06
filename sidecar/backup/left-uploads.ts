// Uploads that nobody will end: unseen by every listing of objects, and paid for.
import { messageOf, StoreError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { readManifest } from './manifest.ts';
import { keysOfUploads, openTooLongSince } from './orphans.ts';

type Sweep = { archive: Archive; signal: AbortSignal; log: Log };

/** An upload of WAL is over in minutes. */
const DEAD_AFTER_MS = 24 * 60 * 60_000;

/**
 * Aborts what has been open for too long below the server's prefix; `goingOn`: when backups began that may be running.
 * Stores that list uploads by exact key only name none.
 */
export async function abortOldUploads(sweep: Sweep, now: Date, goingOn: readonly Date[]): Promise<void> {
  const { base, wals } = sweep.archive.keys;
  await abortBelow(sweep, [wals], new Date(now.getTime() - DEAD_AFTER_MS));
  await abortBelow(sweep, [base], openTooLongSince(now, goingOn));
}

/** Aborts what a dead run left open, under the exact keys that its manifest tells of. */
export async function abortUploadsOf(sweep: Sweep, id: string, now: Date): Promise<void> {
  const { archive, signal } = sweep;
  const manifest = await readManifest(archive, id, signal);
  if (manifest === undefined || manifest.uploads.length === 0) return;
  const keys = await keysOfUploads(archive, id, manifest, signal);
  // The run is dead: whatever is open here is of it, and clocks may be apart.
  await abortBelow(sweep, keys, new Date(now.getTime() + DEAD_AFTER_MS));
}

/** A store that does not let us is a warning, and no reason to leave everything else as it is. */
async function abortBelow({ archive, signal, log }: Sweep, prefixes: string[], startedBefore: Date): Promise<void> {
  try {
    for (const prefix of prefixes) {
      const keys = await archive.storage.abortOrphans(prefix, startedBefore, { signal });
      if (keys.length > 0) log.warn({ keys }, 'uploads that were left open were aborted');
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof StoreError)) throw error;
    log.warn({ error: messageOf(error) }, 'uploads that were left open could not be looked for');
  }
}
