// Brings the archive to what the retention policy says: look, decide, act. Interrupted at any point, the next run goes
// on, and what is listed meanwhile can be restored: WAL goes last, and only what no backup needs that is still there.
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { type CatalogEntry, listBackups } from './catalog.ts';
import { deleteBackup } from './delete-backup.ts';
import { noRefusals, type Refusals } from './delete-objects.ts';
import { abortOldUploads, abortUploadsOf } from './left-uploads.ts';
import { lookAt } from './retention-candidates.ts';
import { planRetention, type RetentionCandidate, type Verdict } from './retention-plan.ts';
import { recoveryWindowOf } from './retention-policy.ts';
import { backupSettings } from './settings.ts';
import { fromDate, toDate } from './timestamp.ts';
import { cleanUpWal } from './wal-clean-up.ts';
import { type KeptBackup, planWalCleanUp } from './wal-clean-up-plan.ts';

export type RetentionReport = {
  /** Every backup that is still there, and why. */
  kept: { id: string; reason: string }[];
  deleted: { id: string; reason: string }[];
  walFilesDeleted: number;
  /** Why no WAL was deleted, when none could be. */
  walKept: string | undefined;
  /** What the store would not delete, such as objects under a lock: still there, counted, not tried again in this run. */
  locked: Refusals;
};

/**
 * Applies a policy such as `30d` to one server. Throws InvalidInputError for another text, StoreError when the store
 * does not answer or refuses a whole request; a single object that it keeps is in the report.
 */
export async function runRetention(run: {
  archive: Archive;
  policy: string;
  now: Date;
  signal: AbortSignal;
  log: Log;
}): Promise<RetentionReport> {
  const { archive, policy, now, signal, log } = run;
  const windowMicros = recoveryWindowOf(policy);
  const { put } = backupSettings(archive.objectStore, archive.storage.capabilities);
  const entries = await listBackups(archive, signal, log);
  const candidates = await lookAt(archive, entries, signal, log);
  const { verdicts, windowCovered } = planRetention({ candidates, windowMicros, now: fromDate(now) });
  await abortOldUploads(run, now, goingOn(candidates, verdicts));

  const locked = noRefusals();
  const kept: Verdict[] = verdicts.filter(({ keep }) => keep);
  const deleted: RetentionReport['deleted'] = [];
  for (const verdict of verdicts) {
    if (verdict.keep) continue;
    const { id, reason } = verdict;
    const entry = entries.find((candidate) => candidate.id === id);
    const listed = entry !== undefined && entry.state !== 'half';
    if (!listed) await abortUploadsOf(run, id, now);
    const outcome = await deleteBackup(archive, id, { listed, put, refusals: locked, signal });
    if (outcome === 'deleted') {
      deleted.push({ id, reason });
      log.info({ backupId: id, reason }, 'deleted a backup');
    } else if (outcome === 'refused') {
      const wal = entry?.state === 'done' ? 'own-range' : 'none';
      kept.push({ id, keep: true, wal, reason: 'the store would not delete it' });
    } else {
      kept.push({ id, keep: true, wal: 'unknown', reason: 'it has just been finished' });
    }
  }

  const plan = planWalCleanUp(
    kept.map((verdict) => keptBackup(verdict, entries)),
    windowCovered,
  );
  const walFilesDeleted = await cleanUpWal(archive, plan, { refusals: locked, signal });
  const report: RetentionReport = {
    kept: kept.map(({ id, reason }) => ({ id, reason })),
    deleted,
    walFilesDeleted,
    walKept: plan.clean ? undefined : plan.reason,
    locked,
  };
  tell(report, archive, log);
  return report;
}

/** When those began that may be running. */
function goingOn(candidates: readonly RetentionCandidate[], verdicts: readonly Verdict[]): Date[] {
  return candidates.flatMap(({ entry, folder }, index) => {
    const mayRun = entry.state === 'half' && verdicts[index]?.keep === true;
    return mayRun && folder?.startedAt !== undefined ? [toDate(folder.startedAt)] : [];
  });
}

function keptBackup(verdict: Verdict, entries: readonly CatalogEntry[]): KeptBackup {
  const entry = entries.find(({ id }) => id === verdict.id);
  const info = entry !== undefined && 'info' in entry ? entry.info : undefined;
  return { id: verdict.id, wal: verdict.keep ? verdict.wal : 'none', info };
}

function tell(report: RetentionReport, archive: Archive, log: Log): void {
  const { kept, deleted, walFilesDeleted, walKept, locked } = report;
  const facts = {
    backupsKept: kept.length,
    backupsDeleted: deleted.length,
    walFilesDeleted,
    location: archive.location,
  };
  log.info(walKept === undefined ? facts : { ...facts, walKept }, 'applied the retention policy');
  if (locked.count > 0) {
    log.warn({ objects: locked.count, examples: locked.examples }, 'the store would not delete some objects: kept');
  }
}
