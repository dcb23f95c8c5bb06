// The question of admission about Backups and ScheduledBackups.
import type { Problem, ProblemContext } from './problems.ts';
import { BACKUP_RULES, SCHEDULED_BACKUP_RULES } from './rules/backup.ts';
import { type BackupDraft, readBackupDraft } from './rules/backup-draft.ts';
import { applyRules, type Rule, sortProblems } from './rules/rule.ts';

/**
 * Finds all problems of a Backup at once, sorted by path (objectstore-and-injection.md §2.5). Takes any JSON value, looks
 * at nothing but the snapshot it is given, changes nothing and never throws.
 */
export function findBackupProblems(backup: unknown, context: ProblemContext): Problem[] {
  return find(BACKUP_RULES, backup, context);
}

/** As `findBackupProblems`, of a ScheduledBackup. */
export function findScheduledBackupProblems(scheduled: unknown, context: ProblemContext): Problem[] {
  return find(SCHEDULED_BACKUP_RULES, scheduled, context);
}

function find(rules: readonly Rule<BackupDraft>[], object: unknown, { old, ...rest }: ProblemContext): Problem[] {
  const stored = old === undefined || old === null ? undefined : readBackupDraft(old);
  return sortProblems(applyRules(rules, readBackupDraft(object), { ...rest, old: stored }));
}
