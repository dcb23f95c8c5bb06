// The tables of rules for Backups and ScheduledBackups (objectstore-and-injection.md §2.5, field-use.md). The spec of a
// Backup never changes after it was made; that of a ScheduledBackup does.
import * as check from './backup-checks.ts';
import type { BackupDraft } from './backup-draft.ts';
import type { Finding, Operation, Rule, RuleContext, Severity } from './rule.ts';

const NAME = 'spec.pluginConfiguration.name';
const PARAMETERS = 'spec.pluginConfiguration.parameters';

/**
 * What both kinds have; refusals ratchet where a spec can be updated. `notEnabled` is how BK3 is told of a Cluster that is
 * there: a schedule comes in one change with the plugin of its Cluster, and Flux and Argo CD try such a change on the
 * server as a whole before they apply any of it, so a refusal would be for good (field-use.md: nothing may depend on order).
 */
function commonRules(refuses: Severity, notEnabled: Severity, afterwards: Operation[]): Rule<BackupDraft>[] {
  const atFirst: Operation[] = ['CREATE', ...afterwards];
  return [
    rule('BK2', refuses, atFirst, 'spec.method', 'plugin, when our plugin is named', check.wrongMethod),
    rule('BK3', notEnabled, atFirst, NAME, 'a plugin that the Cluster enables', check.pluginNotEnabled),
    rule('BK4', 'W', atFirst, 'spec.cluster.name', 'a Cluster whose ObjectStore is there', check.failingCluster),
    rule('BK5', 'W', ['CREATE', 'UPDATE'], PARAMETERS, 'none', check.ignoredParameters),
    rule('BK6', 'W', ['CREATE', 'UPDATE'], 'spec.online, spec.onlineConfiguration', 'absent', check.onlineSettings),
    rule('BK7', 'W', ['CREATE', 'UPDATE'], NAME, 'no near miss of the name', check.misspeltPlugin),
    rule('F1', 'W', ['CREATE', 'UPDATE'], PARAMETERS, 'no other store than the Cluster has', check.otherStore),
    rule('F2', 'W', ['CREATE', 'UPDATE'], PARAMETERS, 'none of what is set elsewhere', check.unknownParameters),
  ];
}

export const BACKUP_RULES: readonly Rule<BackupDraft>[] = commonRules('E', 'E', []);

export const SCHEDULED_BACKUP_RULES: readonly Rule<BackupDraft>[] = [
  rule('BK1', 'E', ['CREATE', 'UPDATE'], NAME, 'there, with method plugin', check.noPluginNamed),
  ...commonRules('E*', 'W', ['UPDATE']),
  rule('F5', 'W', ['CREATE', 'UPDATE'], 'spec.schedule', 'six fields, seconds first', check.fiveFieldSchedule),
  rule('SB1', 'W', ['CREATE', 'UPDATE'], 'spec.method', 'plugin, without an in-tree store', check.inTreeSchedule),
];

type Check = (backup: BackupDraft, context: RuleContext<BackupDraft>) => Finding[];

function rule(
  id: string,
  severity: Severity,
  operations: Operation[],
  path: string,
  demand: string,
  checkBackup: Check,
): Rule<BackupDraft> {
  return { id, severity, operations, path, demand, reason: 'FieldValueInvalid', check: checkBackup };
}
