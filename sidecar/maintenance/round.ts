// One round of catalog maintenance (objectstore-and-injection.md §9.4): the retention policy, the Backup objects whose
// data is gone, the recovery window.
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { resolveParameters } from '../../api/parameters.ts';
import type { KubeReads } from '../../api/wire/kube.ts';
import type { Log } from '../../api/wire/log.ts';
import { listBackups } from '../backup/catalog.ts';
import { runRetention } from '../backup/retention.ts';
import type { Archive, Archives } from '../store/archive.ts';
import type { Events } from '../telemetry/events.ts';
import type { BackupObjects } from './backup-objects.ts';
import { intervalMs, RETRY_MS } from './interval.ts';
import type { MaintenanceMetrics } from './maintenance-metrics.ts';
import type { WindowReport } from './window-report.ts';

export type RoundDeps = {
  kube: Pick<KubeReads, 'cluster'>;
  archives: Archives;
  windows: WindowReport;
  backupObjects: BackupObjects;
  events: Events;
  namespace: string;
  clusterName: string;
  podName: string;
  log: Log;
  /** Default: counted for nobody. */
  metrics?: Pick<MaintenanceMetrics, 'failed'>;
  /** Wall clock; for tests. */
  now?: () => Date;
};

/**
 * Does what is to be done and returns the pause until the next round, milliseconds.
 *
 * | plugin enabled, with a store | this Pod is the current primary | round                                        |
 * |------------------------------|---------------------------------|----------------------------------------------|
 * | no                           |                                 | nothing; five minutes                        |
 * | yes                          | no                              | gauges from the status; five minutes at most |
 * | yes                          | yes                             | all three; the interval                      |
 *
 * A policy that could not be applied is an Event and is tried again after five minutes at most; the window is shown all
 * the same. Throws when Cluster, ObjectStore or catalog cannot be read, or the status not be written.
 */
export async function maintain(deps: RoundDeps, signal: AbortSignal): Promise<number> {
  const { kube, archives, windows, podName, log } = deps;
  const cluster = await kube.cluster(deps.namespace, deps.clusterName);
  const { archive: reference } = resolveParameters(cluster);
  if (reference === undefined) return RETRY_MS;
  const archive = await archives.open(reference);
  const pauseMs = intervalMs(archive.objectStore);
  if (cluster.status?.currentPrimary !== podName) {
    windows.show(archive);
    return Math.min(pauseMs, RETRY_MS);
  }
  const records = await deps.backupObjects.list(cluster, signal);
  const { applied, deleted } = await applyPolicy(deps, cluster, archive, signal);
  const catalog = await listBackups(archive, signal);
  // Two writes that do not depend on each other: neither may hide the other.
  const ends = await Promise.allSettled([
    windows.publish(archive, catalog),
    deps.backupObjects.forget({ archive, records, catalog, deleted }, signal),
  ]);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  log.debug({ pauseMs }, 'catalog maintenance is done');
  return applied ? pauseMs : Math.min(pauseMs, RETRY_MS);
}

type Applied = { applied: boolean; deleted: string[] };

async function applyPolicy(deps: RoundDeps, cluster: Cluster, archive: Archive, signal: AbortSignal): Promise<Applied> {
  const { events, log } = deps;
  const policy = archive.objectStore.spec.retentionPolicy;
  if (!policy) return { applied: true, deleted: [] };
  try {
    const now = deps.now?.() ?? new Date();
    const report = await runRetention({ archive, policy, now, signal, log });
    const { count, examples } = report.locked;
    const [first] = examples;
    if (first !== undefined) {
      const words = `${count} objects could not be deleted, first ${first.key}: ${first.reason}`;
      events.warn(cluster, 'RetentionPolicyFailed', words);
    }
    return { applied: true, deleted: report.deleted.map(({ id }) => id) };
  } catch (error) {
    signal.throwIfAborted();
    log.error({ error: messageOf(error), location: archive.location }, 'the retention policy could not be applied');
    deps.metrics?.failed(error);
    events.warn(cluster, 'RetentionPolicyFailed', messageOf(error));
    return { applied: false, deleted: [] };
  }
}
