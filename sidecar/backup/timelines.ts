// Timelines: which are in the archive, and where each one left the one before it (PostgreSQL's timeline history files).
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CorruptError, messageOf, PreconditionError } from '../../api/errors.ts';
import { historyName, parseLsn, parseWalName } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import { findCandidates } from '../wal/fetch.ts';
import { parseStoredName, type StoredWal } from '../wal/stored.ts';

/** Where a timeline was left for the next one. */
export type Switch = { timeline: number; lsn: bigint };

/** A timeline with its ancestors, oldest first, each with the position at which it was left. */
export type Lineage = { timeline: number; ancestors: readonly Switch[] };

/** Timelines of which the archive has a history file, and those of which it has WAL. Ascending. */
export type ArchivedTimelines = { histories: readonly number[]; wal: readonly number[] };

/** A line has some sixty bytes; this many stand for ten thousand switches. */
const LARGEST_HISTORY_BYTES = 1024 * 1024;
/** Sorts after every hex digit. */
const BEYOND = '~';

/**
 * The lineage of a timeline from its history file, in whatever encoding it is stored. Undefined when the archive has no
 * such file: PostgreSQL then assumes that the timeline has no parents. Throws CorruptError when no form can be read.
 */
export async function readLineage(
  archive: Archive,
  timeline: number,
  signal: AbortSignal,
): Promise<Lineage | undefined> {
  const name = parseWalName(historyName(timeline));
  if (name === undefined) throw new RangeError(`not a timeline: ${timeline}`);
  let unreadable: unknown;
  for (const candidate of await findCandidates(archive, name, { signal })) {
    try {
      const text = await readText(archive, candidate, signal);
      if (text !== undefined) return { timeline, ancestors: parseHistory(text, timeline) };
    } catch (error) {
      if (!(error instanceof CorruptError) && !(error instanceof PreconditionError)) throw error;
      unreadable ??= new CorruptError(`${candidate.key} (${archive.location}): ${messageOf(error)}`, { cause: error });
    }
  }
  if (unreadable !== undefined) throw unreadable;
  return undefined;
}

/**
 * The lines of a history file: timeline, position, reason. Throws CorruptError as PostgreSQL refuses it: a line that
 * is none of these, timelines that do not ascend, a position that goes back.
 */
export function parseHistory(text: string, timeline: number): Switch[] {
  const switches: Switch[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const content = line.trim();
    if (content === '' || content.startsWith('#')) continue;
    const match = /^(\d{1,10})\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(\s|$)/.exec(content);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new CorruptError(`line ${index + 1} of a timeline history: ${JSON.stringify(content.slice(0, 80))}`);
    }
    const found = { timeline: Number(match[1]), lsn: parseLsn(match[2]) };
    const before = switches.at(-1);
    if (before !== undefined && (found.timeline <= before.timeline || found.lsn < before.lsn)) {
      throw new CorruptError(`line ${index + 1} of a timeline history goes back`);
    }
    if (found.timeline >= timeline) {
      throw new CorruptError(
        `line ${index + 1} of the history of timeline ${timeline} names timeline ${found.timeline}`,
      );
    }
    switches.push(found);
  }
  return switches;
}

/** Where a lineage left one of its timelines; `undefined` where it still is, `'foreign'` when it never was on it. */
export function leftAt(lineage: Lineage, timeline: number): bigint | undefined | 'foreign' {
  if (timeline === lineage.timeline) return undefined;
  return lineage.ancestors.find((ancestor) => ancestor.timeline === timeline)?.lsn ?? 'foreign';
}

/**
 * The timeline that PostgreSQL means by `latest` for a data folder that is on `timeline`: it asks for the history of
 * the next number, and the next, until one is missing.
 */
export function latestFrom(timeline: number, { histories }: ArchivedTimelines): number {
  let latest = timeline;
  while (histories.includes(latest + 1)) latest++;
  return latest;
}

/**
 * Looks at one key of each timeline and jumps to the next: a request for each timeline, however many segments there
 * are. Objects that are no WAL are passed over.
 */
export async function listTimelines(archive: Archive, signal: AbortSignal): Promise<ArchivedTimelines> {
  const { storage, keys } = archive;
  const histories = new Set<number>();
  const wal = new Set<number>();
  let after: string | undefined;
  do {
    const startAfter = after;
    after = undefined;
    for await (const { key } of storage.list(
      keys.wals,
      startAfter === undefined ? { signal } : { signal, startAfter },
    )) {
      const [folder = '', inFolder] = key.slice(keys.wals.length).split('/', 2);
      if (inFolder === undefined) {
        const name = parseStoredName(folder)?.name;
        if (name?.kind === 'history') histories.add(name.timeline);
        continue;
      }
      const timeline = /^([0-9A-Fa-f]{8})[0-9A-Fa-f]{8}$/.exec(folder)?.[1];
      if (timeline !== undefined) wal.add(Number.parseInt(timeline, 16));
      // No request names a key with an empty element, such as a stray `wals//x`: a slash is the last before 0.
      const jump = folder === '' ? `${keys.wals}0` : `${keys.wals}${timeline ?? `${folder}/`}${BEYOND}`;
      after = key;
      if (jump > key) after = jump;
      break;
    }
  } while (after !== undefined);
  return { histories: ascending(histories), wal: ascending(wal) };
}

function ascending(numbers: Set<number>): number[] {
  return [...numbers].sort((a, b) => a - b);
}

/** Undefined when the object has gone since it was listed. */
async function readText(archive: Archive, { key, codec }: StoredWal, signal: AbortSignal): Promise<string | undefined> {
  const answer = await archive.storage.get(key, { signal });
  if (answer === undefined) return undefined;
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const collect = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      sizeBytes += chunk.length;
      chunks.push(chunk);
      done(sizeBytes > LARGEST_HISTORY_BYTES ? new CorruptError('too large for a timeline history') : undefined);
    },
  });
  await pipeline(answer.body, codec.decoder(), collect, { signal });
  return Buffer.concat(chunks).toString('utf8');
}
