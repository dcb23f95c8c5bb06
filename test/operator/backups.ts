// How a backup request reaches the plugin: the objects that kubectl and schedules make, and one turn of the Backup
// controller with the manager's part behind it (cnpg-i-contract.md §5.4, §10).
import type { Backup, Cluster } from '../../api/kube.ts';
import type { BackupResult } from '../../api/proto/gen/backup.ts';
import { ReconcilerHooksResult_Behavior as Behavior, ReconcilerHooksService } from '../../api/proto/gen/reconciler.ts';
import type { Lent, Pool } from './pool.ts';
import { callHooks, enabledPlugins } from './reconcile.ts';

export type ScheduledBackup = {
  metadata: { name: string; namespace: string };
  spec: {
    schedule: string;
    cluster: { name: string };
    method: 'plugin';
    pluginConfiguration: { name: string; parameters?: Record<string, string> };
    target?: string;
    immediate?: boolean;
  };
};

export type BackupStatus = NonNullable<Backup['status']> & {
  error?: string;
  startedAt?: string;
  stoppedAt?: string;
  beginWal?: string;
  endWal?: string;
  beginLSN?: string;
  endLSN?: string;
  online?: boolean;
  backupLabelFile?: string;
};

export type BackupTurn =
  | { outcome: 'left-alone' | 'waiting' | 'refused'; reason: string }
  | { outcome: 'completed' | 'failed'; pod: string; status: BackupStatus };

export type BackupPod = { name: string; isPrimary: boolean; isReady: boolean };

/** `kubectl cnpg backup CLUSTER --method=plugin --plugin-name=…`. Throws when the plugin is not named. */
export function kubectlBackup(
  cluster: Cluster,
  options: { at: Date; pluginName?: string; parameters?: Record<string, string>; target?: string },
): Backup {
  const { at, pluginName, parameters, target } = options;
  if (!pluginName) throw new Error('plugin-name is required when method is plugin');
  const { name, namespace } = cluster.metadata;
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Backup',
    metadata: {
      name: `${name}-${stamp(at)}`,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { 'cnpg.io/cluster': name },
    },
    spec: {
      cluster: { name },
      method: 'plugin',
      ...(target === undefined ? {} : { target }),
      pluginConfiguration: { name: pluginName, ...(parameters === undefined ? {} : { parameters }) },
    },
  };
}

/** What a schedule makes for one of its times: the same name for the same time, so that a second try makes no second one. */
export function backupOfSchedule({ metadata, spec }: ScheduledBackup, at: Date): Backup {
  const { cluster, method, pluginConfiguration, target } = spec;
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Backup',
    metadata: {
      name: `${metadata.name}-${stamp(at)}`,
      namespace: metadata.namespace,
      labels: {
        'cnpg.io/cluster': cluster.name,
        'cnpg.io/immediateBackup': String(spec.immediate === true),
        'cnpg.io/scheduled-backup': metadata.name,
      },
    },
    spec: { cluster, method, pluginConfiguration, ...(target === undefined ? {} : { target }) },
  };
}

/**
 * One turn of the Backup controller. `exec` is `/controller/manager backup NAME` in the chosen Pod: it calls the plugin that
 * the Backup names through that Pod's socket.
 */
export async function reconcileBackup(
  plugins: ReadonlyMap<string, Pool>,
  backup: Backup,
  context: {
    cluster: Cluster | undefined;
    others: readonly Backup[];
    pods: readonly BackupPod[];
    exec(pod: string, backup: Backup): Promise<BackupResult>;
  },
): Promise<BackupTurn> {
  const { cluster, others, pods, exec } = context;
  if (backup.status?.phase === 'completed' || backup.status?.phase === 'failed') {
    return { outcome: 'left-alone', reason: `it is ${backup.status.phase}` };
  }
  if (!backup.spec.pluginConfiguration?.name)
    return { outcome: 'refused', reason: 'pluginConfiguration.name is empty' };
  if (cluster === undefined) return { outcome: 'refused', reason: 'the Cluster does not exist' };
  if (cluster.metadata.annotations?.['cnpg.io/hibernation'] === 'on') {
    return { outcome: 'refused', reason: 'the Cluster is hibernated' };
  }
  if ((cluster.spec.plugins ?? []).length === 0) return { outcome: 'refused', reason: 'the Cluster has no plugins' };
  const running = others.find(
    ({ spec, status }) => spec.cluster.name === cluster.metadata.name && status?.phase === 'started',
  );
  if (running !== undefined) return { outcome: 'waiting', reason: `${running.metadata.name} is running` };

  const lent: Lent[] = [];
  try {
    // Only those of spec.plugins are loaded for a Backup.
    for (const name of enabledPlugins({ ...cluster, spec: { plugins: cluster.spec.plugins ?? [] } })) {
      const pool = plugins.get(name);
      if (pool === undefined) throw new Error(`the plugin ${name} is not registered`);
      lent.push(await pool.take());
    }
    const connections = lent.map(({ connection }) => connection);
    const pre = await callHooks(connections, ReconcilerHooksService.pre, cluster, backup);
    if (pre.behavior !== Behavior.BEHAVIOR_CONTINUE) return { outcome: 'waiting', reason: 'the Pre hook holds it up' };
    const pod = electPod(pods, backup.spec.target ?? targetOf(cluster));
    if (pod === undefined) return { outcome: 'waiting', reason: 'no Pod is ready' };
    const turn = await run(pod.name, backup, exec);
    await callHooks(connections, ReconcilerHooksService.post, cluster, backup);
    return turn;
  } finally {
    for (const { giveBack } of lent) giveBack();
  }
}

async function run(
  pod: string,
  backup: Backup,
  exec: (pod: string, backup: Backup) => Promise<BackupResult>,
): Promise<BackupTurn> {
  try {
    return { outcome: 'completed', pod, status: statusOf(await exec(pod, backup)) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { outcome: 'failed', pod, status: { phase: 'failed', method: 'plugin', error: message } };
  }
}

/** Seconds: a plugin that sends milliseconds is thousands of years ahead. Year 2286. */
const LATEST_SECONDS = 1e10;

/** Stores the answer as the manager does. Throws on what it would store as nonsense. */
export function statusOf(result: BackupResult): BackupStatus {
  if (result.backupId === '') throw new Error('backup_id is empty: the Backup could never be restored by its name');
  const instant = (field: string, seconds: number): string => {
    if (seconds <= 0) throw new Error(`${field} is ${seconds}: it would be stored as 1970`);
    if (seconds > LATEST_SECONDS) throw new Error(`${field} is ${seconds}: seconds, not milliseconds`);
    return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
  };
  if (!result.online) throw new Error('online is false: that is the answer for a server that was stopped');
  return {
    phase: 'completed',
    method: 'plugin',
    backupId: result.backupId,
    startedAt: instant('started_at', result.startedAt),
    stoppedAt: instant('stopped_at', result.stoppedAt),
    ...{ beginWal: result.beginWal, endWal: result.endWal, beginLSN: result.beginLsn, endLSN: result.endLsn },
    ...{ online: result.online, backupLabelFile: result.backupLabelFile.toString('base64') },
    pluginMetadata: result.metadata,
  };
}

function targetOf({ spec }: Cluster): string {
  return typeof spec.backup?.target === 'string' ? spec.backup.target : 'prefer-standby';
}

function electPod(pods: readonly BackupPod[], target: string): BackupPod | undefined {
  const ready = pods.filter(({ isReady }) => isReady);
  const standby = target === 'primary' ? undefined : ready.find(({ isPrimary }) => !isPrimary);
  return standby ?? ready.find(({ isPrimary }) => isPrimary);
}

/** `YYYYMMDDhhmmss`, UTC. */
function stamp(at: Date): string {
  return at.toISOString().replaceAll(/[-:T]|\.\d+Z$/g, '');
}
