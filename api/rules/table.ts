// Every rule of admission, in one table, for the documentation and the tests that count.
import { BACKUP_RULES, SCHEDULED_BACKUP_RULES } from './backup.ts';
import { CLUSTER_RULES } from './cluster.ts';
import { OBJECTSTORE_RULES } from './objectstore.ts';
import type { Rule } from './rule.ts';

/** The four kinds that are judged. */
export type JudgedKind = 'ObjectStore' | 'Cluster' | 'Backup' | 'ScheduledBackup';

export type RuleRow = Omit<Rule<never>, 'check'>;

export const RULE_TABLE: Readonly<Record<JudgedKind, readonly RuleRow[]>> = {
  ObjectStore: OBJECTSTORE_RULES,
  Cluster: CLUSTER_RULES,
  Backup: BACKUP_RULES,
  ScheduledBackup: SCHEDULED_BACKUP_RULES,
};
