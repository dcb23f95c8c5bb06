// The recovery Job of a new Cluster that reads what the stand's Cluster stored: injected, its sidecar run, PGDATA filled by
// Restore, PostgreSQL started on it as the manager would.
import { join } from 'node:path';
import type { Cluster, Job, RecoveryTarget } from '../../api/kube.ts';
import { PLUGIN_NAME, PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { inject } from '../../injector/inject.ts';
import type { LocalPod } from '../kubelet.ts';
import { installManager } from '../manager/install.ts';
import { configureRecovery, restoreThroughPlugin } from '../manager/restore.ts';
import { recoveryJob } from '../operator-objects.ts';
import { type Postgres, startPostgres } from '../postgres.ts';
import type { LocalProcess } from '../process.ts';
import { clusterDocument, STORE, type Stand } from '../stand.ts';

export type RecoveryJob = {
  pgdata: string;
  sidecar: LocalProcess;
  /** Another sidecar of the same Job, for one that has ended. */
  startSidecar(): Promise<LocalProcess>;
  /** Calls Restore into an absent PGDATA; throws the plugin's words when it refuses. */
  restore(target?: RecoveryTarget): Promise<void>;
  /** Starts PostgreSQL on what the last Restore left; it recovers to that target and promotes itself. */
  start(): Promise<Postgres>;
};

const ROLE = 'full-recovery';
const SOURCE = 'source';

/** Starts the Job's sidecar. `name` is the new Cluster's; it archives nowhere. Repeated restores use the same Job. */
export async function startRecoveryJob(stand: Stand, name = 'pg-restored'): Promise<RecoveryJob> {
  const { account, programs, kubelet, kubeApi, cleanup, folder } = stand;
  const plain = restoringCluster(name);
  await kubeApi.apply({ ...plain, metadata: { ...plain.metadata, name } });
  const stores = new Map([[STORE, kubeApi.get('ObjectStore', STORE) as unknown as ObjectStore]]);
  const original = recoveryJob(plain, { major: programs.major });
  const job = inject(original, plain, stores, { sidecarImage: 'cellar:test' }).object as Job;
  const pod: LocalPod = {
    name: job.metadata?.name ?? '',
    namespace: job.metadata?.namespace ?? '',
    spec: job.spec.template.spec,
  };
  await kubelet.prepare(pod);
  const local = (path: string): string => kubelet.localPath(pod, ROLE, path);
  const pgdata = local('/var/lib/postgresql/data/pgdata');
  const pluginsFolder = local(PLUGINS_MOUNT);
  const controllerFolder = local('/controller');
  const manager = await installManager({
    ...{ account, podName: pod.name, pgdata, controllerFolder, pluginsFolder, cluster: plain },
  });
  const startSidecar = async (): Promise<LocalProcess> => {
    const sidecar = await kubelet.startSidecar(pod, SIDECAR_CONTAINER);
    cleanup.add(() => sidecar.stop('SIGKILL'));
    return sidecar;
  };
  const sidecar = await startSidecar();

  let env: Record<string, string> = {};
  return {
    ...{ pgdata, sidecar, startSidecar },
    async restore(target) {
      const cluster = restoringCluster(name, target);
      await manager.setCluster(cluster);
      const answer = await restoreThroughPlugin(pluginsFolder, cluster, pgdata);
      env = await configureRecovery({ account, pgdata, controllerFolder, cluster, answer });
    },
    async start() {
      const logFile = join(folder, 'logs', `${pod.name}.postgres.log`);
      const socketFolder = local('/controller/run');
      const postgres = await startPostgres({ programs, account, pgdata, socketFolder, logFile, env });
      cleanup.add(() => postgres.stop('immediate'));
      return postgres;
    },
  };
}

/** A Cluster that is to be made from what the stand's Cluster stored. */
export function restoringCluster(name: string, recoveryTarget?: RecoveryTarget): Cluster {
  const { apiVersion, kind, metadata } = clusterDocument();
  const parameters = { barmanObjectName: STORE, serverName: metadata.name };
  return {
    ...{ apiVersion: apiVersion ?? '', kind: kind ?? '' },
    metadata: { name, namespace: metadata.namespace, uid: '6f0c6f0e-0000-4000-8000-000000000002' },
    spec: {
      bootstrap: { recovery: { source: SOURCE, ...(recoveryTarget === undefined ? {} : { recoveryTarget }) } },
      externalClusters: [{ name: SOURCE, plugin: { name: PLUGIN_NAME, parameters } }],
    },
  };
}
