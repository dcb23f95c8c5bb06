// The table of rules for Clusters (objectstore-and-injection.md §2.4, field-use.md). Only entries that name our plugin
// are examined.
import { ANNOTATION_SKIP_WAL_ARCHIVING } from '../names.ts';
import { resolveParameters } from '../parameters.ts';
import type { ClusterDraft } from './cluster-draft.ts';
import { enabledEntries } from './cluster-entries.ts';
import * as habits from './cluster-habits.ts';
import * as entry from './cluster-parameters.ts';
import * as place from './cluster-places.ts';
import { type Finding, MISSING, type Operation, type Rule, type RuleContext, type Severity } from './rule.ts';

const PLUGIN = 'spec.plugins[i]';
const STORE = `${PLUGIN}.parameters.barmanObjectName`;
const SERVER = `${PLUGIN}.parameters.serverName`;
const SOURCE = 'spec.externalClusters[k].plugin';

export const CLUSTER_RULES: readonly Rule<ClusterDraft>[] = [
  rule('CL1', 'E*', STORE, 'there, in an enabled entry', entry.archiveWithoutStore),
  rule('CL2', 'W', `${PLUGIN}.parameters, ${SOURCE}.parameters`, 'only known parameters', entry.unknownParameters),
  rule('CL3', 'W', `${STORE}, also of sources`, 'an ObjectStore that exists', place.missingStores),
  rule('CL4', 'E*', `${STORE}, also of sources`, 'a name that an ObjectStore can have', entry.storeNames),
  rule('CL5', 'E*', `${SERVER}, also of sources`, 'usable as a folder name', entry.impossibleServerNames),
  rule('CL6', 'W', `${SERVER}, also of sources`, 'letters, digits, ., _ and -, 255 at most', entry.unusualServerNames),
  rule('CL7', 'E*', SERVER, 'not empty; left out it is the name of the Cluster', entry.emptyServerName),
  rule('CL8', 'E*', `${SOURCE}.parameters.barmanObjectName`, 'there, on a source', entry.sourceWithoutStore),
  rule('CL9', 'W', `${SOURCE}.parameters.serverName`, 'there, on a source', entry.sourceWithoutServerName),
  rule('CL10', 'E', `${PLUGIN}.parameters`, 'another place than the recovery source', place.archiveIntoSource),
  rule('CL10b', 'E*', `${PLUGIN}.parameters`, 'another place than the replica source', place.archiveIntoReplicaSource),
  rule('CL11', 'E*', `${PLUGIN}.parameters`, 'a place that no other Cluster writes to', place.sharedArchive),
  rule('CL12', 'E*', `${PLUGIN}.name`, 'the plugin is listed once', entry.severalEntries),
  rule('CL13', 'E*', 'spec.backup.barmanObjectStore', 'not beside the plugin', place.inTreeBeside),
  rule(
    'CL14',
    'W',
    `${PLUGIN}.isWALArchiver`,
    'true, because an enabled entry that names a store archives WAL, declared or not',
    undeclaredArchiver,
  ),
  rule('CL15', 'W', `${PLUGIN}.enabled`, 'not false while a source loads the plugin', entry.disabledEntry),
  rule('CL16', 'E*', `${SOURCE}.enabled`, 'not false on a source', entry.disabledSource),
  rule('CL17', 'E*', 'spec.bootstrap.recovery.backup.name', 'no Backup of the plugin', habits.recoveryFromBackup),
  rule(
    'CL18',
    'W',
    'spec.bootstrap.recovery.recoveryTarget.targetTime',
    'with a time zone',
    habits.targetTimeWithoutZone,
  ),
  rule('CL19', 'W', `${PLUGIN}.parameters`, 'a change leaves earlier backups behind', place.movedArchive, ['UPDATE']),
  rule('CL20', 'W', 'spec.env[j].name', 'no variable of the sidecar', habits.sidecarVariables),
  rule('CL21', 'W', `${PLUGIN}.name, ${SOURCE}.name`, 'no near miss of the name', entry.misspeltPlugin),

  rule('F3', 'W', 'spec.backup.retentionPolicy', 'on the ObjectStore instead', habits.retentionOnCluster),
  rule('F6', 'W', `${SOURCE}.isWALArchiver`, 'not on a source', entry.archiverOutside),
  rule(
    'F7',
    'W',
    'metadata.annotations',
    'skipEmptyWalArchiveCheck is enabled or absent',
    habits.emptyArchiveAnnotation,
  ),
  rule('F8', 'E*', `${STORE}, also of sources`, 'below parameters, not beside it', entry.strayKeys),
];

type Check = (cluster: ClusterDraft, context: RuleContext<ClusterDraft>) => Finding[];

function rule(
  id: string,
  severity: Severity,
  path: string,
  demand: string,
  check: Check,
  operations: Operation[] = ['CREATE', 'UPDATE'],
): Rule<ClusterDraft> {
  return { id, severity, operations, path, demand, reason: 'FieldValueInvalid', check };
}

/**
 * The operator asks every enabled plugin to archive, archiver or not, and we do (issue 4, "Which store"; the table is
 * above `storeToWrite`). The advice never says `true`: beside an in-tree store the operator would refuse that.
 *
 * | enabled entry | barmanObjectName | isWALArchiver | cnpg.io/skipWalArchiving | warns                    |
 * |---------------|------------------|---------------|--------------------------|--------------------------|
 * | yes           | yes              | not true      | not `enabled`            | yes                      |
 * | yes           | yes              | not true      | `enabled`                | no: nothing is archived  |
 * | yes           | yes              | true          | any                      | no                       |
 * | yes           | no               | any           | any                      | no: there is no archive  |
 * | no            | any              | any           | any                      | no                       |
 */
function undeclaredArchiver(cluster: ClusterDraft): Finding[] {
  const counting = enabledEntries(cluster).at(-1);
  if (counting === undefined || counting.stanza.isWALArchiver === true) return [];
  if (resolveParameters(cluster).archive === undefined) return [];
  if (cluster.metadata.annotations?.[ANNOTATION_SKIP_WAL_ARCHIVING] === 'enabled') return [];
  return [
    {
      path: `${counting.path}.isWALArchiver`,
      found: counting.stanza.isWALArchiver === undefined ? MISSING : 'false',
      advice: `WAL is archived anyway; to pause annotate ${ANNOTATION_SKIP_WAL_ARCHIVING}: enabled`,
    },
  ];
}
