// Which WAL segments a backup needs, and which of them are in the archive.
import { setTimeout } from 'node:timers/promises';
import { PreconditionError } from '../../api/errors.ts';
import { parseLsn, parseWalName, segmentOf } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { parseStoredName } from '../wal/stored.ts';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;
const SAY_EVERY_MS = 30_000;

/** One segment: any of these names will do (a timeline may change while a standby is copied). */
export type NeededSegment = readonly string[];

/**
 * The segments from a start to a stop position. The last is the one that holds the last byte *before* the stop: a stop
 * exactly on a boundary names a segment that need not exist yet.
 */
export function neededSegments(range: {
  beginTimeline: number;
  endTimeline: number;
  beginLsn: string;
  endLsn: string;
  segmentSizeBytes: number;
}): NeededSegment[] {
  const sizeBytes = BigInt(range.segmentSizeBytes);
  const begin = parseLsn(range.beginLsn) / sizeBytes;
  const end = (parseLsn(range.endLsn) - 1n) / sizeBytes;
  const segments: NeededSegment[] = [];
  for (let number = begin; number <= end; number++) {
    const names: string[] = [];
    for (let timeline = range.beginTimeline; timeline <= range.endTimeline; timeline++) {
      names.push(segmentOf(timeline, number * sizeBytes, range.segmentSizeBytes));
    }
    segments.push(names);
  }
  return segments;
}

/** Those that are not in the archive, in any encoding we know; whole segments only. One listing for each folder. */
export async function missingSegments(
  archive: Archive,
  needed: readonly NeededSegment[],
  signal: AbortSignal,
): Promise<NeededSegment[]> {
  const present = new Set<string>();
  const folders = Map.groupBy([...new Set(needed.flat())].sort(), (name) => folderOf(archive, name));
  for (const [folder, names] of folders) {
    const [first = ''] = names;
    const wanted = new Set(names);
    const last = `${folder}${names.at(-1)}~`;
    // Listing starts after a key: a name without its last digit sorts before the name itself.
    for await (const { key } of archive.storage.list(folder, {
      signal,
      startAfter: `${folder}${first.slice(0, -1)}`,
    })) {
      if (key > last) break;
      const name = parseStoredName(key.slice(folder.length))?.name.name;
      if (name !== undefined && wanted.has(name)) present.add(name);
    }
  }
  return needed.filter((names) => !names.some((name) => present.has(name)));
}

function folderOf(archive: Archive, name: string): string {
  const parsed = parseWalName(name);
  if (parsed === undefined) throw new RangeError(`not a WAL segment: ${name}`);
  return archive.keys.walFolder(parsed);
}

export type WalWait = {
  archive: Archive;
  needed: readonly NeededSegment[];
  signal: AbortSignal;
  log: Log;
  /** Longest wait, ms; without it only the signal ends it. */
  limitMs: number | undefined;
};

/** Waits until every needed segment is in the archive, and says what it waits for. Throws PreconditionError when late. */
export async function waitForSegments(wait: WalWait): Promise<void> {
  const { archive, signal, log, limitMs } = wait;
  const startedMs = performance.now();
  let needed = wait.needed;
  let saidMs = Number.NEGATIVE_INFINITY;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    needed = await missingSegments(archive, needed, signal);
    const [next] = needed;
    if (next === undefined) return;
    const waitedMs = performance.now() - startedMs;
    if (limitMs !== undefined && waitedMs > limitMs) {
      throw new PreconditionError(`WAL segment ${next.join(' or ')} did not reach the archive ${archive.location}`, {
        hint: 'look at the WAL archiving of the primary, then take another backup',
      });
    }
    if (performance.now() - saidMs > SAY_EVERY_MS) {
      log.info({ segment: next[0], missing: needed.length }, 'waiting until the WAL that the backup needs is archived');
      saidMs = performance.now();
    }
    await setTimeout(pauseMs, undefined, { signal });
  }
}
