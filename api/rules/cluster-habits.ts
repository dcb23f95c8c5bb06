// What else stands in a Cluster and does not do what it seems to (rules CL17, CL18, CL20, F3, F7).
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, PLUGIN_NAME } from '../names.ts';
import { archiveStanza } from '../parameters.ts';
import { childOf } from '../schema.ts';
import type { ClusterDraft } from './cluster-draft.ts';
import { externalEntries, pluginEntries } from './cluster-entries.ts';
import type { Finding, RuleContext } from './rule.ts';
import { show } from './show.ts';

/** The operator reads a plugin's Backup as one of its own archiver, and misses credentials. */
export function recoveryFromBackup(cluster: ClusterDraft, { around }: RuleContext<ClusterDraft>): Finding[] {
  const name = cluster.spec.bootstrap?.recovery?.backup?.name;
  const spec = childOf(around.recoveryBackup, 'spec');
  if (name === undefined || childOf(spec, 'method') !== 'plugin') return [];
  if (childOf(childOf(spec, 'pluginConfiguration'), 'name') !== PLUGIN_NAME) return [];
  const advice = 'a Backup of the plugin cannot be named here; use bootstrap.recovery.source with an external cluster';
  return [{ path: 'spec.bootstrap.recovery.backup.name', found: show(name), advice }];
}

const ZONE = /\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(z|utc|gmt|[+-]\d{2}(:?\d{2})?)$/i;

export function targetTimeWithoutZone(cluster: ClusterDraft): Finding[] {
  const time = cluster.spec.bootstrap?.recovery?.recoveryTarget?.targetTime;
  if (time === undefined || ZONE.test(time.trim()) || !concerned(cluster)) return [];
  const path = 'spec.bootstrap.recovery.recoveryTarget.targetTime';
  return [{ path, found: show(time), advice: 'read as UTC; add Z, or an offset such as +02:00' }];
}

const SIDECAR_VARIABLES = ['SPOOL_DIRECTORY', 'CUSTOM_CNPG_GROUP', 'CUSTOM_CNPG_VERSION'];

export function sidecarVariables(cluster: ClusterDraft): Finding[] {
  if (!concerned(cluster)) return [];
  return cluster.spec.env.flatMap(({ name }, index) =>
    SIDECAR_VARIABLES.includes(name)
      ? [{ path: `spec.env[${index}].name`, found: show(name), advice: 'reserved by the backup sidecar; remove it' }]
      : [],
  );
}

export function retentionOnCluster(cluster: ClusterDraft): Finding[] {
  const { inTreeRetention, inTreeStore } = cluster.spec;
  if (inTreeRetention === undefined || inTreeStore !== undefined || archiveStanza(cluster) === undefined) return [];
  const advice = 'ignored with the plugin; set spec.retentionPolicy of the ObjectStore';
  return [{ path: 'spec.backup.retentionPolicy', found: show(inTreeRetention), advice }];
}

export function emptyArchiveAnnotation(cluster: ClusterDraft): Finding[] {
  const value = cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK];
  if (value === undefined || value === 'enabled' || !concerned(cluster)) return [];
  const path = `metadata.annotations[${ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK}]`;
  return [{ path, found: show(value), advice: 'ignored; the only value with an effect is enabled' }];
}

/** Clusters that have nothing to do with the plugin are none of our business. */
function concerned(cluster: ClusterDraft): boolean {
  return pluginEntries(cluster).length > 0 || externalEntries(cluster).length > 0;
}
