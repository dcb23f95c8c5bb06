// The table of rules for Clusters (objectstore-and-injection.md §2.4). Only entries that name our plugin are examined.
import type { Cluster } from '../kube.ts';
import { ANNOTATION_SKIP_WAL_ARCHIVING } from '../names.ts';
import { archiveStanza, resolveParameters } from '../parameters.ts';
import { type Finding, MISSING, type Rule } from './rule.ts';
import { show } from './show.ts';

export const CLUSTER_RULES: readonly Rule<Cluster>[] = [
  {
    id: 'CL14',
    severity: 'W',
    operations: ['CREATE', 'UPDATE'],
    path: 'spec.plugins[i].isWALArchiver',
    demand: 'true, because an enabled entry that names a store archives WAL, declared or not',
    reason: 'FieldValueInvalid',
    check: undeclaredArchiver,
  },
];

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
function undeclaredArchiver(cluster: Cluster): Finding[] {
  const stanza = archiveStanza(cluster);
  if (stanza === undefined || stanza.isWALArchiver === true) return [];
  if (resolveParameters(cluster).archive === undefined) return [];
  if (cluster.metadata.annotations?.[ANNOTATION_SKIP_WAL_ARCHIVING] === 'enabled') return [];
  const index = cluster.spec.plugins?.lastIndexOf(stanza);
  return [
    {
      path: `spec.plugins[${index}].isWALArchiver`,
      found: stanza.isWALArchiver === undefined ? MISSING : show(stanza.isWALArchiver),
      advice: `WAL is archived anyway; to pause annotate ${ANNOTATION_SKIP_WAL_ARCHIVING}: enabled`,
    },
  ];
}
