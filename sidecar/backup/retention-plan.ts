// Which backups a retention policy keeps and which it lets go, and why (object-store-layout.md §9.1, §9.3, §9.5). Pure.
//
// The window reaches back from now. "Finished" is restorable by itself.
//
// | backup                                                  | verdict                         | WAL it needs         |
// |---------------------------------------------------------|---------------------------------|----------------------|
// | finished, ended inside the window                       | kept                            | from its begin on    |
// | finished, the newest that ended before the window       | kept: the window begins with it | from its begin on    |
// | finished, older, annotation `full`                      | kept                            | from its begin on    |
// | finished, older, annotation `standalone`                | kept                            | from begin to end    |
// | finished, older, an incremental one builds on it        | kept                            | from begin to end    |
// | finished, any other                                     | goes                            |                      |
// | incremental, snapshot, status of a backup under way     | kept: not ours to delete        | from begin to end    |
// | FAILED, begun before the oldest that the window needs   | goes                            |                      |
// | FAILED, any other                                       | kept                            | none                 |
// | no backup.info, its deletion had begun                  | goes                            |                      |
// | no backup.info, looks like a backup, a day old          | goes                            |                      |
// | no backup.info, may be running                          | kept                            | none; unknown if it  |
// |                                                         |                                 | began before those   |
// | no backup.info, no backup by its name                   | kept: not ours                  | none                 |
// | unreadable backup.info, or DONE without its times       | kept: nobody knows what it is   | none, or unknown     |
//
// Barman deletes nothing at all while one backup.info cannot be read. Here the others go on: leaving one out of the
// count can only keep more of the others. WAL that it may need is safe too: only what is older than the backup that the
// window begins with ever goes, and were it readable and older than that one, it would have been let go itself. Only
// somebody's wish to have it kept makes its WAL unknown.
import type { CatalogEntry, DoneEntry } from './catalog.ts';
import type { BackupInfo } from './info.ts';
import type { Keep } from './keep.ts';
import { formatTimestamp, type Micros } from './timestamp.ts';

/** What the folder of a backup that failed, or has no backup.info, shows. */
export type FolderFacts = {
  /** Of its newest object, and of the start of the run where it is known. */
  changedAt: Micros | undefined;
  /** When the run began, where our own record of it says so. */
  startedAt: Micros | undefined;
  /** Its deletion had begun. */
  deleting: boolean;
  /** Its name or its content is that of a backup; anything else is not ours. */
  isBackup: boolean;
};

export type RetentionCandidate = { entry: CatalogEntry; keep: Keep | undefined; folder: FolderFacts | undefined };

/** What a kept backup needs of the archived WAL. */
export type WalNeed = 'from-begin' | 'own-range' | 'none' | 'unknown';

export type Verdict = { id: string; reason: string } & ({ keep: true; wal: WalNeed } | { keep: false });

/** How old a backup without backup.info must be before it counts as dead (object-store-layout.md §9.5). */
const DEAD_AFTER_MICROS: Micros = 24n * 3_600_000_000n;

export type RetentionPlan = {
  /** In the order of the candidates. */
  verdicts: Verdict[];
  /**
   * Whether a finished backup is there that ended before the window. Until then no WAL may go: it may serve backups that
   * are not here, such as volume snapshots, and all of it may be younger than the window is long.
   */
  windowCovered: boolean;
};

/**
 * A verdict for each candidate. `windowMicros` is the length of the
 * recovery window. At least the newest finished backup is always kept.
 */
export function planRetention(plan: {
  candidates: readonly RetentionCandidate[];
  windowMicros: Micros;
  now: Micros;
}): RetentionPlan {
  const { candidates, windowMicros, now } = plan;
  const finished = candidates
    .map(({ entry }) => entry)
    .filter(isFinished)
    .toSorted(byEnd);
  const start = now - windowMicros;
  const anchor = finished.findLast(({ info }) => endOf(info) < start);
  const inWindow = finished.filter((entry) => entry === anchor || endOf(entry.info) >= start);
  const context: Context = {
    anchor,
    inWindow: new Set(inWindow),
    oldestBegin: inWindow.map(({ info }) => info.beginTime ?? 0n).reduce(least, undefined),
    parents: parentsOf(candidates),
    windowStart: start,
    now,
  };
  const verdicts = candidates.map((candidate) => ({ id: candidate.entry.id, ...judge(candidate, context) }));
  return { verdicts, windowCovered: anchor !== undefined };
}

type Context = {
  anchor: DoneEntry | undefined;
  inWindow: ReadonlySet<CatalogEntry>;
  /** When the oldest backup began that the window needs. */
  oldestBegin: Micros | undefined;
  /** Ids on which an incremental backup builds. */
  parents: ReadonlySet<string>;
  windowStart: Micros;
  now: Micros;
};

type Judgement = { reason: string } & ({ keep: true; wal: WalNeed } | { keep: false });

function judge(candidate: RetentionCandidate, context: Context): Judgement {
  const { entry } = candidate;
  if (isFinished(entry)) return judgeFinished(entry, candidate.keep, context);
  if (entry.state === 'half') return judgeHalf(candidate.folder, context);
  if (entry.state === 'broken') {
    return { keep: true, wal: unknownWal(candidate), reason: `backup.info cannot be read: ${entry.problem}` };
  }
  const { info } = entry;
  if (info.status === 'FAILED') return judgeFailed(info, candidate.folder, context);
  const wal = info.beginWal !== undefined && info.endWal !== undefined ? 'own-range' : unknownWal(candidate);
  if (info.parentBackupId !== undefined) return { keep: true, wal, reason: 'incremental: not ours to delete' };
  if (info.snapshotsInfo !== undefined) return { keep: true, wal, reason: 'a volume snapshot: not ours to delete' };
  if (info.status === 'DONE') return { keep: true, wal, reason: 'does not say when it began and ended' };
  return { keep: true, wal, reason: `has status ${info.status}` };
}

function judgeFinished(entry: DoneEntry, keep: Keep | undefined, context: Context): Judgement {
  if (entry === context.anchor) {
    return { keep: true, wal: 'from-begin', reason: 'the recovery window begins with it' };
  }
  if (context.inWindow.has(entry)) return { keep: true, wal: 'from-begin', reason: 'ended inside the recovery window' };
  if (keep === 'full') return { keep: true, wal: 'from-begin', reason: 'keep annotation: full' };
  if (keep === 'standalone') return { keep: true, wal: 'own-range', reason: 'keep annotation: standalone' };
  if (context.parents.has(entry.id)) {
    return { keep: true, wal: 'own-range', reason: 'an incremental backup builds on it' };
  }
  const start = formatTimestamp(context.windowStart);
  return {
    keep: false,
    reason: `the recovery window begins at ${start}, and ${context.anchor?.id} is a newer backup from before that`,
  };
}

function judgeFailed(info: BackupInfo, folder: FolderFacts | undefined, { oldestBegin }: Context): Judgement {
  const begun = info.beginTime ?? folder?.changedAt;
  if (oldestBegin === undefined || begun === undefined || begun >= oldestBegin) {
    return { keep: true, wal: 'none', reason: 'failed, but not older than the backups of the recovery window' };
  }
  return { keep: false, reason: 'failed, and older than the backups of the recovery window' };
}

function judgeHalf(folder: FolderFacts | undefined, { now, oldestBegin }: Context): Judgement {
  if (folder?.deleting === true) return { keep: false, reason: 'its deletion had begun' };
  if (folder?.isBackup !== true)
    return { keep: true, wal: 'none', reason: 'no backup.info, and no backup by its name' };
  if (folder.changedAt === undefined || folder.changedAt > now - DEAD_AFTER_MICROS) {
    const isOlder = folder.startedAt !== undefined && oldestBegin !== undefined && folder.startedAt < oldestBegin;
    return { keep: true, wal: isOlder ? 'unknown' : 'none', reason: 'no backup.info yet: it may be running' };
  }
  return { keep: false, reason: `no backup.info, and nothing has come since ${formatTimestamp(folder.changedAt)}` };
}

function unknownWal({ keep }: RetentionCandidate): WalNeed {
  return keep === undefined ? 'none' : 'unknown';
}

/** Every id that an entry of the catalog builds on, over all generations. */
function parentsOf(candidates: readonly RetentionCandidate[]): Set<string> {
  const parentOf = new Map<string, string>();
  for (const { entry } of candidates) {
    if ('info' in entry && entry.info.parentBackupId !== undefined) parentOf.set(entry.id, entry.info.parentBackupId);
  }
  return new Set(parentOf.values());
}

function isFinished(entry: CatalogEntry): entry is DoneEntry {
  return entry.state === 'done';
}

function endOf(info: BackupInfo): Micros {
  return info.endTime ?? 0n;
}

function byEnd(a: DoneEntry, b: DoneEntry): number {
  const [left, right] = [endOf(a.info), endOf(b.info)];
  if (left !== right) return left < right ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function least(found: Micros | undefined, next: Micros): Micros {
  return found === undefined || next < found ? next : found;
}
