// Chooses the base backup for a recovery target (object-store-layout.md §7.2). Pure.
//
// | target            | backup, among those that the target's timeline comes from   |
// |-------------------|-------------------------------------------------------------|
// | backupID          | exactly this one, if the rest of the target can be reached from it |
// | targetTime        | the newest that ended at or before it                       |
// | targetLSN         | the newest that ended before it                             |
// | name, XID, immediate, none | the newest                                         |
//
// Nobody can see without reading all WAL whether a name or an XID lies before the end of the newest backup: the
// operator demands a backupID with those.
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import { parseLsn } from '../../api/wal-name.ts';
import type { CatalogEntry, DoneEntry } from './catalog.ts';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

const FIELD = 'spec.bootstrap.recovery.recoveryTarget';
const SHOWN = 5;

/** Whether a recovery that starts from a backup gets to the timeline that the target means, and why not. */
export type Reach = { timeline: number | undefined } & ({ usable: true } | { usable: false; reason: string });

/**
 * The backup to restore and the timeline that a recovery from it ends on. `entries` are in the catalog's order. Throws
 * PreconditionError that names what would fit, and InvalidInputError for a target that cannot be read.
 */
export function chooseBackup(
  entries: readonly CatalogEntry[],
  target: RecoveryTarget | undefined,
  reach: (entry: DoneEntry) => Reach,
): { entry: DoneEntry; timeline: number | undefined } {
  const limit = limitOf(target);
  if (target?.backupID) return byId(entries, target.backupID, limit, reach);
  const done = entries.filter(isDone);
  if (done.length === 0) {
    throw new PreconditionError('there is no finished base backup to restore', { hint: whatIsThere(entries) });
  }
  const usable = done.filter((entry) => reach(entry).usable);
  if (usable.length === 0) throw nothingOnTimeline(done, reach);
  const entry = usable.findLast((candidate) => limit === undefined || limit.endsBefore(candidate));
  if (entry !== undefined) return { entry, timeline: reach(entry).timeline };
  throw nothingBefore(limit?.text, usable, done);
}

function byId(
  entries: readonly CatalogEntry[],
  id: string,
  limit: Limit | undefined,
  reach: (entry: DoneEntry) => Reach,
): { entry: DoneEntry; timeline: number | undefined } {
  const entry = entries.find((candidate) => candidate.id === id);
  if (entry === undefined || !isDone(entry)) throw noSuch(id, entry, entries);
  const done = entries.filter(isDone);
  if (limit?.endsAfter(entry) === true) {
    const earlier = done.filter((candidate) => limit.endsBefore(candidate) && reach(candidate).usable);
    throw new PreconditionError(`base backup ${describe(entry)} ended after ${limit.text}`, {
      hint:
        earlier.length === 0
          ? `set a later target, or another ${FIELD}.backupID; no backup ended before it`
          : `set ${FIELD}.backupID to one that ended before it, or leave it out: ${earlier.slice(-SHOWN).map(describe).join('; ')}`,
    });
  }
  const reached = reach(entry);
  if (reached.usable) return { entry, timeline: reached.timeline };
  const others = done.filter((candidate) => reach(candidate).usable);
  throw new PreconditionError(`base backup ${describe(entry)} cannot start this recovery: ${reached.reason}`, {
    hint:
      `set ${FIELD}.targetTLI to current to stay on the timeline of the backup` +
      (others.length === 0 ? '' : `, or ${FIELD}.backupID to ${others.slice(-SHOWN).map(describe).join('; ')}`),
  });
}

type Limit = {
  text: string;
  /** Whether the target may be reached from a backup chosen for it. */
  endsBefore(entry: DoneEntry): boolean;
  /** Whether the target certainly cannot be reached from it. */
  endsAfter(entry: DoneEntry): boolean;
};

/** A time beats an LSN (object-store-layout.md §7.2). */
function limitOf(target: RecoveryTarget | undefined): Limit | undefined {
  if (target?.targetTime) {
    const time = parseTimestamp(target.targetTime);
    if (time === undefined) {
      throw new InvalidInputError(
        `${FIELD}.targetTime`,
        target.targetTime,
        'write a time such as 2026-11-22T07:30:00Z or 2026-11-22 07:30:00+01',
      );
    }
    return {
      text: `targetTime ${target.targetTime}`,
      endsBefore: ({ info }) => info.endTime !== undefined && info.endTime <= time,
      endsAfter: ({ info }) => info.endTime !== undefined && info.endTime > time,
    };
  }
  if (target?.targetLSN) {
    const lsn = readLsn(target.targetLSN);
    return {
      text: `targetLSN ${target.targetLSN}`,
      endsBefore: ({ info }) => info.endXlog !== undefined && parseLsn(info.endXlog) < lsn,
      endsAfter: ({ info }) => info.endXlog !== undefined && parseLsn(info.endXlog) > lsn,
    };
  }
  return undefined;
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

function nothingOnTimeline(done: readonly DoneEntry[], reach: (entry: DoneEntry) => Reach): PreconditionError {
  const reasons = done.slice(-SHOWN).map((entry) => {
    const reached = reach(entry);
    return `${describe(entry)}: ${reached.usable ? '' : reached.reason}`;
  });
  const timelines = [...new Set(done.map(({ info }) => info.timeline))].join(', ');
  return new PreconditionError(`no finished base backup can start this recovery: ${reasons.join('; ')}`, {
    hint: `set ${FIELD}.targetTLI to a timeline that has backups (${timelines}), or to current`,
  });
}

function nothingBefore(
  target: string | undefined,
  usable: readonly DoneEntry[],
  done: readonly DoneEntry[],
): PreconditionError {
  const oldest = usable.toSorted(byEnd)[0];
  const elsewhere = done.filter((entry) => !usable.includes(entry)).slice(-SHOWN);
  return new PreconditionError(`no base backup had ended before ${target}`, {
    hint:
      `the earliest point that can be reached is the end of backup ${oldest === undefined ? '' : describe(oldest)}` +
      (elsewhere.length === 0
        ? ''
        : `; backups that this timeline does not come from: ${elsewhere.map(describe).join('; ')}`),
  });
}

function noSuch(id: string, entry: CatalogEntry | undefined, entries: readonly CatalogEntry[]): PreconditionError {
  const newest = entries.filter(isDone).slice(-SHOWN).map(describe);
  const instead = newest.length === 0 ? 'there is no finished one' : `finished ones are ${newest.join('; ')}`;
  return new PreconditionError(`base backup ${JSON.stringify(id)} ${whyNot(entry)}`, {
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

function describe({ id, info }: DoneEntry): string {
  const ended = info.endTime === undefined ? 'unknown' : formatTimestamp(info.endTime);
  return `${id} (timeline ${info.timeline ?? 'unknown'}, ended ${ended}, LSN ${info.endXlog ?? 'unknown'})`;
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
