// The WAL that a base backup cannot do without: there, and of the same database system.
import { CorruptError, PreconditionError } from '../../../api/errors.ts';
import { DEFAULT_SEGMENT_SIZE_BYTES, parseLsn, parseWalName } from '../../../api/wal-name.ts';
import type { Log } from '../../../api/wire/log.ts';
import { missingSegments, type NeededSegment, neededSegments } from '../../backup/archived-wal.ts';
import type { DoneEntry } from '../../backup/catalog.ts';
import { type Lineage, readLineage } from '../../backup/timelines.ts';
import type { Archive } from '../../store/archive.ts';
import { listStored } from '../../wal/stored.ts';
import { systemIdOfStored } from '../../wal/system-identifier.ts';
import { segmentNames } from './end-of-archive.ts';

const PARTIAL = '.partial';

/**
 * Without every segment from begin to end the data folder never becomes consistent. Throws PreconditionError when one is
 * missing or comes from another system, CorruptError for a backup.info that does not say what is needed. `timeline`: where
 * the recovery ends; undefined when the backup does not say its own.
 */
export async function assertWalOfBackup(
  archive: Archive,
  entry: DoneEntry,
  options: { timeline: number | undefined; signal: AbortSignal; log: Log },
): Promise<void> {
  const { id, info } = entry;
  const { timeline, signal } = options;
  const goesOn = timeline !== undefined && timeline !== info.timeline;
  const needed = segmentsOf(entry, goesOn ? await readLineage(archive, timeline, signal) : undefined);
  const missing = await missingSegments(archive, orPartial(needed), signal);
  if (missing.length > 0) {
    throw new PreconditionError(
      `base backup ${id} cannot be restored: the archive ${archive.location} lacks ${missing.length} of the ` +
        `${needed.length} WAL segments that it needs, first ${missing[0]?.filter((name) => !name.endsWith(PARTIAL)).join(' or ')}`,
      { hint: 'restore another backup (recoveryTarget.backupID), or put the segments back' },
    );
  }
  await assertSameSystem(archive, entry, needed[0] ?? [], options);
}

/**
 * A failover leaves the last segment of a timeline in the archive in part, and whole on the next one, which begins with a
 * copy of it: a backup of a standby may have ended there.
 */
function segmentsOf({ id, info }: DoneEntry, lineage: Lineage | undefined): NeededSegment[] {
  const { timeline, beginXlog, endXlog } = info;
  if (timeline === undefined || beginXlog === undefined || endXlog === undefined) {
    throw new CorruptError(`backup.info of ${id} does not say which WAL the backup needs`);
  }
  const segmentSizeBytes = info.xlogSegmentSize ?? DEFAULT_SEGMENT_SIZE_BYTES;
  const needed = neededSegments({
    beginTimeline: timeline,
    endTimeline: Math.max(timeline, parseWalName(info.endWal ?? '')?.timeline ?? 0),
    beginLsn: beginXlog,
    endLsn: endXlog,
    segmentSizeBytes,
  });
  if (lineage === undefined) return needed;
  return needed.map((names, index) => {
    const lsn = parseLsn(beginXlog) + BigInt(index) * BigInt(segmentSizeBytes);
    const later = segmentNames(lineage, lsn, segmentSizeBytes).filter((name) => name > (names.at(-1) ?? ''));
    return [...names, ...later];
  });
}

/** Of the last segment a part will do: nothing that the backup needs is behind it. */
function orPartial(needed: readonly NeededSegment[]): NeededSegment[] {
  return needed.map((names, index) =>
    index < needed.length - 1 ? names : [...names, ...names.map((name) => `${name}${PARTIAL}`)],
  );
}

/** Two systems may have archived under one server name; their segments have the same names. */
async function assertSameSystem(
  archive: Archive,
  { id, info }: DoneEntry,
  begin: NeededSegment,
  { signal, log }: { signal: AbortSignal; log: Log },
): Promise<void> {
  if (info.systemId === undefined) return;
  for (const name of begin) {
    const parsed = parseWalName(name);
    const stored = parsed === undefined ? [] : await listStored(archive, parsed, signal);
    for (const candidate of stored.filter((form) => form.name.name === name)) {
      const found = await systemIdOfStored(archive, candidate, signal);
      if (found === undefined) {
        log.warn({ key: candidate.key }, 'cannot tell from which database system this WAL segment is');
      } else if (String(found) !== info.systemId) {
        throw new PreconditionError(
          `base backup ${id} is of database system ${info.systemId}, but the WAL segment that it begins with ` +
            `(${candidate.key}) is of system ${found}`,
          {
            hint: 'two servers have archived under one name: restore a backup of the other one, or remove what is foreign',
          },
        );
      }
    }
  }
}
