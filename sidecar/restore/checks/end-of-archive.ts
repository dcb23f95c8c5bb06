// Whether the archive goes as far as the recovery target. PostgreSQL would find out at the end of the replay only, and then
// refuse to start ("recovery ended before configured recovery target was reached").
import { PreconditionError } from '../../../api/errors.ts';
import type { RecoveryTarget } from '../../../api/kube.ts';
import { DEFAULT_SEGMENT_SIZE_BYTES, parseLsn, segmentOf } from '../../../api/wal-name.ts';
import { missingSegments } from '../../backup/archived-wal.ts';
import type { DoneEntry } from '../../backup/catalog.ts';
import { type Lineage, readLineage } from '../../backup/timelines.ts';
import { formatTimestamp, parseTimestamp } from '../../backup/timestamp.ts';
import type { Archive } from '../../store/archive.ts';
import { parseStoredName } from '../../wal/stored.ts';

const FIELD = 'spec.bootstrap.recovery.recoveryTarget';
/** Between the clock of the server and that of the store: S3 itself takes no request that is further off. */
const SLACK_MICROS = 15n * 60_000_000n;

/** The last thing that a timeline has in the archive. */
type NewestSegment = { name: string; archivedMicros: bigint };

/**
 * Throws PreconditionError, naming how far the archive goes.
 *
 * | target     | refused when                                                                         |
 * |------------|--------------------------------------------------------------------------------------|
 * | targetLSN  | the segment that holds it is not there, on the way to the timeline                   |
 * | targetTime | it is later than the newest archived segment of that way, with 15 minutes of slack   |
 * | others     | never: nobody can tell without reading all WAL                                       |
 */
export async function assertArchiveReaches(options: {
  archive: Archive;
  entry: DoneEntry;
  target: RecoveryTarget | undefined;
  /** Where the recovery ends; undefined when the backup does not say its own. */
  timeline: number | undefined;
  signal: AbortSignal;
}): Promise<void> {
  const { archive, entry, target, signal } = options;
  const timeline = options.timeline ?? entry.info.timeline;
  if (timeline === undefined || (!target?.targetLSN && !target?.targetTime)) return;
  const lineage = (await readLineage(archive, timeline, signal)) ?? { timeline, ancestors: [] };
  if (target.targetLSN) {
    const segmentSizeBytes = entry.info.xlogSegmentSize ?? DEFAULT_SEGMENT_SIZE_BYTES;
    const names = segmentNames(lineage, parseLsn(target.targetLSN), segmentSizeBytes);
    const partials = names.map((name) => `${name}.partial`);
    const missing = await missingSegments(archive, [[...names, ...partials]], signal);
    if (missing.length === 0) return;
    const newest = await newestSegment(archive, lineage, signal);
    throw tooFar(archive, `${FIELD}.targetLSN ${target.targetLSN}`, `it lies in ${names.join(' or ')}`, newest);
  }
  const wanted = parseTimestamp(target.targetTime ?? '');
  const newest = await newestSegment(archive, lineage, signal);
  if (wanted === undefined || newest === undefined || wanted <= newest.archivedMicros + SLACK_MICROS) return;
  throw tooFar(archive, `${FIELD}.targetTime ${target.targetTime}`, 'nothing that late was archived', newest);
}

/** A segment that a timeline was left in is there on both: the next one begins with a copy. */
export function segmentNames({ timeline, ancestors }: Lineage, lsn: bigint, segmentSizeBytes: number): string[] {
  const numberOf = (position: bigint) => position / BigInt(segmentSizeBytes);
  const wanted = numberOf(lsn);
  const names: string[] = [];
  let begin = 0n;
  for (const switched of ancestors) {
    const end = numberOf(switched.lsn);
    if (begin <= wanted && wanted <= end) names.push(segmentOf(switched.timeline, lsn, segmentSizeBytes));
    begin = end;
  }
  if (begin <= wanted) names.push(segmentOf(timeline, lsn, segmentSizeBytes));
  return names;
}

/** Of the newest timeline of a lineage that has any; looks at the names of folders and into the last one. */
async function newestSegment(
  archive: Archive,
  { timeline, ancestors }: Lineage,
  signal: AbortSignal,
): Promise<NewestSegment | undefined> {
  const { storage, keys } = archive;
  const folders: string[] = [];
  for await (const folder of storage.listFolders(keys.wals, { signal })) folders.push(folder);
  for (const candidate of [timeline, ...ancestors.map((ancestor) => ancestor.timeline).reverse()]) {
    const prefix = keys.wals + candidate.toString(16).toUpperCase().padStart(8, '0');
    for (const folder of folders
      .filter((name) => name.startsWith(prefix))
      .sort()
      .reverse()) {
      const newest = await newestIn(archive, folder, signal);
      if (newest !== undefined) return newest;
    }
  }
  return undefined;
}

/** The last of the names, and the latest of the times: archiving again may have changed the order. */
async function newestIn(archive: Archive, folder: string, signal: AbortSignal): Promise<NewestSegment | undefined> {
  let newest: NewestSegment | undefined;
  for await (const { key, lastModified } of archive.storage.list(folder, { signal })) {
    const name = parseStoredName(key.slice(folder.length))?.name;
    if (name?.kind !== 'segment' && name?.kind !== 'partial') continue;
    const archivedMicros = BigInt(lastModified.getTime()) * 1000n;
    const before = newest?.archivedMicros ?? archivedMicros;
    newest = { name: name.name, archivedMicros: before > archivedMicros ? before : archivedMicros };
  }
  return newest;
}

function tooFar(archive: Archive, target: string, why: string, newest: NewestSegment | undefined): PreconditionError {
  const end =
    newest === undefined
      ? 'there is no WAL of that timeline'
      : `the newest archived segment is ${newest.name}, stored at ${formatTimestamp(newest.archivedMicros)}`;
  return new PreconditionError(`the archive ${archive.location} does not reach ${target}: ${why}; ${end}`, {
    hint: 'choose an earlier target, or leave it out to recover everything that was archived',
  });
}
