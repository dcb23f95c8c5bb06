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

const SEGMENT_NAME_LENGTH = 24;

/** One segment: any of these names will do (a timeline may change while a standby is copied). */
export type NeededSegment = readonly string[];

/**
 * The segments from a start to a stop position. The last is the one that holds the last byte *before* the stop: a stop
 * exactly on a boundary names a segment that need not exist yet. It must be there on the timeline of the stop: a server that
 * nobody follows any more may archive the same number on the one before.
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
    const first = number === end ? range.endTimeline : range.beginTimeline;
    for (let timeline = first; timeline <= range.endTimeline; timeline++) {
      names.push(segmentOf(timeline, number * sizeBytes, range.segmentSizeBytes));
    }
    segments.push(names);
  }
  return segments;
}

/**
 * Those that are not in the archive, in any encoding we know: whole segments, and partial ones where those are asked for by
 * name. One listing for each folder.
 */
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
    // Behind every form of the last segment, also where its partial one is asked for: `X.partial` sorts before `X.snappy`.
    const last = `${folder}${names.at(-1)?.slice(0, SEGMENT_NAME_LENGTH)}~`;
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
  /** Who archives them: the server of this backup, or the primary of this standby. */
  archivedBy: 'this server' | 'the primary';
  clock?: WaitClock;
};

/** Milliseconds. */
export type WaitClock = { now(): number; sleep(ms: number, signal: AbortSignal): Promise<void> };

const CLOCK: WaitClock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await setTimeout(ms, undefined, { signal });
  },
};

/** A segment is switched at the end of a backup and archived at once: half an hour without one means that nobody does. */
const LIMIT_MS = 30 * 60_000;

/**
 * Waits until every needed segment is in the archive, and says what it waits for. Throws PreconditionError when late: on
 * a standby, which cannot make anything happen, after the limit; on a primary after that long without one more segment,
 * as a long queue of a slow archive is no reason to throw a backup away.
 */
export async function waitForSegments(wait: WalWait): Promise<void> {
  const { archive, signal, log, archivedBy, clock = CLOCK } = wait;
  let startedMs = clock.now();
  let needed = wait.needed;
  let saidMs = Number.NEGATIVE_INFINITY;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    const before = needed.length;
    needed = await missingSegments(archive, needed, signal);
    if (needed.length < before && archivedBy === 'this server') startedMs = clock.now();
    const [next] = needed;
    if (next === undefined) return;
    if (clock.now() - startedMs > LIMIT_MS) throw late(next, wait);
    if (clock.now() - saidMs >= SAY_EVERY_MS) {
      log.info({ segment: next[0], missing: needed.length }, `waiting until ${archivedBy} has archived the WAL`);
      saidMs = clock.now();
    }
    await clock.sleep(pauseMs, signal);
  }
}

function late(segment: NeededSegment, { archive, archivedBy }: WalWait): PreconditionError {
  const minutes = LIMIT_MS / 60_000;
  const hints = {
    'this server': `WAL archiving is broken: pg_stat_archiver and the log of PostgreSQL say why`,
    'the primary': 'look at the WAL archiving of the primary; its archive_timeout says how soon a segment is archived',
  };
  return new PreconditionError(
    `WAL segment ${segment.join(' or ')} did not reach the archive ${archive.location} within ${minutes} minutes`,
    { hint: `${hints[archivedBy]}; then take another backup` },
  );
}
