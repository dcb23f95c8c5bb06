// The kinds that admission judges, each with its question.
import { findBackupProblems, findScheduledBackupProblems } from './backup-problems.ts';
import { findClusterProblems } from './cluster-problems.ts';
import { findProblems, type Problem, type ProblemContext } from './problems.ts';
import type { JudgedKind } from './rules/table.ts';

export type { JudgedKind } from './rules/table.ts';

export const FIND_PROBLEMS: Readonly<Record<JudgedKind, (object: unknown, context: ProblemContext) => Problem[]>> = {
  ObjectStore: findProblems,
  Cluster: findClusterProblems,
  Backup: findBackupProblems,
  ScheduledBackup: findScheduledBackupProblems,
};

/** Whether a `kind`, as written in a document, is one of them. */
export function isJudgedKind(kind: unknown): kind is JudgedKind {
  return typeof kind === 'string' && Object.hasOwn(FIND_PROBLEMS, kind);
}
