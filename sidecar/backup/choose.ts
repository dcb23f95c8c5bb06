// Chooses the base backup for a recovery target (object-store-layout.md §7.2). Pure.
//
// | target            | backup                                                     |
// |-------------------|------------------------------------------------------------|
// | backupID          | exactly this one; the other fields do not matter here       |
// | targetTime        | the newest that ended at or before it                       |
// | targetLSN         | the newest that ended before it                             |
// | name, XID, immediate, none | the newest                                         |
//
// targetTLI restricts all but the first to one timeline; `latest`, `current` and nothing do not.
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import { parseLsn } from '../../api/wal-name.ts';
import type { CatalogEntry, DoneEntry } from './catalog.ts';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

const FIELD = 'spec.bootstrap.recovery.recoveryTarget';
const SHOWN = 5;

/**
 * The backup to restore. `entries` are in the catalog's order. Throws PreconditionError that names what would fit, and
 * InvalidInputError for a target that cannot be read.
 */
export function chooseBackup(entries: readonly CatalogEntry[], target: RecoveryTarget | undefined): DoneEntry {
  if (target?.backupID) return byId(entries, target.backupID);
  const done = entries.filter(isDone);
  if (done.length === 0) {
    throw new PreconditionError('there is no finished base backup to restore', { hint: whatIsThere(entries) });
  }
  const onTimeline = done.filter(timelineFilter(target?.targetTLI));
  if (onTimeline.length === 0) {
    throw new PreconditionError(`no finished base backup is on timeline ${target?.targetTLI}`, {
      hint: `set ${FIELD}.targetTLI to one of ${[...new Set(done.map(({ info }) => info.timeline))].join(', ')}, or to latest`,
    });
  }
  const chosen = onTimeline.findLast(targetFilter(target));
  if (chosen !== undefined) return chosen;
  const [oldest = onTimeline[0]] = onTimeline.toSorted(byEnd);
  throw new PreconditionError(`no base backup had ended before ${target?.targetTime || target?.targetLSN}`, {
    hint:
      `the earliest point that can be reached is the end of backup ${oldest?.id}: ` +
      `${oldest?.info.endTime === undefined ? '' : formatTimestamp(oldest.info.endTime)}, LSN ${oldest?.info.endXlog}`,
  });
}

function byId(entries: readonly CatalogEntry[], id: string): DoneEntry {
  const entry = entries.find((candidate) => candidate.id === id);
  if (entry !== undefined && isDone(entry)) return entry;
  const newest = entries
    .filter(isDone)
    .slice(-SHOWN)
    .map((candidate) => candidate.id);
  const instead = newest.length === 0 ? 'there is no finished one' : `finished ones are ${newest.join(', ')}`;
  throw new PreconditionError(`base backup ${JSON.stringify(id)} ${whyNot(entry)}`, {
    hint: `set ${FIELD}.backupID to another; ${instead}`,
  });
}

function whyNot(entry: CatalogEntry | undefined): string {
  if (entry === undefined) return 'does not exist';
  if (entry.state === 'half') return 'has no backup.info: it is still running, or died';
  if (entry.state === 'broken') return `cannot be read: ${entry.problem}`;
  const { info } = entry;
  if (info.status !== 'DONE') return `has status ${info.status}${info.error === undefined ? '' : `: ${info.error}`}`;
  if (info.snapshotsInfo !== undefined) return 'is a volume snapshot, not stored here';
  if (info.parentBackupId !== undefined) return `is incremental to ${info.parentBackupId} and cannot be restored alone`;
  return 'does not say when it began and ended';
}

function timelineFilter(targetTLI: string | undefined): (entry: DoneEntry) => boolean {
  if (!targetTLI || targetTLI === 'latest' || targetTLI === 'current') return () => true;
  if (!/^[1-9]\d*$/.test(targetTLI)) {
    throw new InvalidInputError(`${FIELD}.targetTLI`, targetTLI, 'write a timeline in decimal, or latest');
  }
  return ({ info }) => info.timeline === Number(targetTLI);
}

function targetFilter(target: RecoveryTarget | undefined): (entry: DoneEntry) => boolean {
  if (target?.targetTime) {
    const time = parseTimestamp(target.targetTime);
    if (time === undefined) {
      throw new InvalidInputError(
        `${FIELD}.targetTime`,
        target.targetTime,
        'write a time such as 2026-11-22T07:30:00Z or 2026-11-22 07:30:00+01',
      );
    }
    return ({ info }) => info.endTime !== undefined && info.endTime <= time;
  }
  if (target?.targetLSN) {
    const lsn = readLsn(target.targetLSN);
    return ({ info }) => info.endXlog !== undefined && parseLsn(info.endXlog) < lsn;
  }
  return () => true;
}

function readLsn(text: string): bigint {
  try {
    return parseLsn(text);
  } catch (error) {
    throw new InvalidInputError(`${FIELD}.targetLSN`, text, 'write an LSN such as 16/B374D848', { cause: error });
  }
}

function isDone(entry: CatalogEntry): entry is DoneEntry {
  return entry.state === 'done';
}

function byEnd(a: DoneEntry, b: DoneEntry): number {
  return (a.info.endTime ?? 0n) < (b.info.endTime ?? 0n) ? -1 : 1;
}

function whatIsThere(entries: readonly CatalogEntry[]): string {
  if (entries.length === 0)
    return 'the catalog is empty: check the ObjectStore and the serverName of the recovery source';
  const shown = entries.slice(-SHOWN).map((entry) => `${entry.id} ${whyNot(entry)}`);
  return `found: ${shown.join('; ')}`;
}
