// PostgreSQL and the sidecars as Kubernetes would run them for base backups: an instance Pod whose data folder is the kept
// database, a recovery Job for each restore, an API server, and an ObjectStore for each way of packing.
import { mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Backup, Cluster, Job, Pod } from '../../api/kube.ts';
import {
  PARAMETER_OBJECT_STORE,
  PARAMETER_SERVER_NAME,
  PLUGIN_NAME,
  PLUGINS_MOUNT,
  SIDECAR_CONTAINER,
} from '../../api/names.ts';
import { inject } from '../../injector/inject.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { startKubeApi } from '../kube-api.ts';
import { createKubelet, type LocalPod, localPod } from '../kubelet.ts';
import { takeBackup } from '../manager/backup.ts';
import { fixedSettings, writeConfiguration } from '../manager/configuration.ts';
import { installManager } from '../manager/install.ts';
import { restoreThroughPlugin } from '../manager/restore.ts';
import { instancePod, recoveryJob } from '../operator-objects.ts';
import { findPostgres, type Postgres, startPostgres } from '../postgres.ts';
import { type Account, makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { DATA_CODEC_NAMES, type DataCodecName } from './base-options.ts';
import { buildEntryPoint } from './bundle.ts';
import { dataPacking } from './data-packings.ts';
import { NAMESPACE, objectStoreFor, secretOf } from './kube-objects.ts';
import { BENCH_MAJOR } from './postgres-major.ts';
import type { BenchStore } from './store.ts';

/** Where in the bucket, and how packed. */
export type BasePlace = { codec: DataCodecName; serverName: string };

export type BackupSidecar = {
  pid: number;
  /** One call, as the instance manager makes it; the answer's backup id. Throws what the plugin answers. */
  backup(place: BasePlace): Promise<string>;
  stop(): Promise<void>;
};

export type RestoreSidecar = {
  pid: number;
  pgdata: string;
  /** Into an absent data folder, the newest backup of the place. */
  restore(place: BasePlace): Promise<void>;
  stop(): Promise<void>;
};

export type BaseRig = {
  /** The sidecar's user owns it. */
  folder: string;
  account: Account;
  /** As its server names it: a link to the kept database. */
  pgdata: string;
  postgres: Postgres;
  /** WAL goes to this place from now on; it needs a sidecar that runs. */
  archiveTo(place: BasePlace): Promise<void>;
  /** Each starts a fresh process. */
  startInstance(): Promise<BackupSidecar>;
  startRestore(): Promise<RestoreSidecar>;
};

const PGDATA = '/var/lib/postgresql/data/pgdata';
const ROLE = 'full-recovery';
/** Parts of an object at a time: the goal of the memory names it. */
const JOBS = 2;
const UID = '6f0c6f0e-0000-4000-8000-00000000000';

type StoreOptions = { store: BenchStore; gzipLevel: number | undefined; profileFolder: string | undefined };

/** Starts everything but the sidecars. */
export async function startBaseRig(
  options: StoreOptions & { /** Of the kept database. */ pgdata: string; cleanup: Cleanup },
): Promise<BaseRig> {
  const { store, cleanup, profileFolder } = options;
  const account = unprivilegedAccount();
  const folder = await makeShortFolder('cellar-bench-');
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const logFolder = join(folder, 'logs');
  await mkdir(logFolder);
  await account.own(folder);
  if (profileFolder !== undefined) {
    await mkdir(profileFolder, { recursive: true });
    await account.own(profileFolder);
  }
  const kubeApi = await startKubeApi({ namespace: NAMESPACE });
  cleanup.add(() => kubeApi.stop());
  await kubeApi.apply(secretOf(store));
  const stores = DATA_CODEC_NAMES.map((codec) => storeOf(options, codec));
  for (const objectStore of stores) await kubeApi.apply({ ...objectStore });
  const byName = new Map(stores.map((objectStore) => [objectStore.metadata.name ?? '', objectStore]));

  const entryPoint = await buildEntryPoint(folder);
  const kubelet = createKubelet({ folder, logFolder, account, kubeApi, entryPoint });
  const first = sourceCluster({ codec: 'none', serverName: 'bench' });
  await kubeApi.apply({ ...first });
  kubeApi.setStatus('Cluster', first.metadata.name, first.status);
  const original = instancePod(first, { serial: 1, major: BENCH_MAJOR });
  const pod = localPod(inject(original, first, byName, { sidecarImage: 'cellar:bench' }).object as Pod);
  await kubelet.prepare(pod);
  const local = (path: string) => kubelet.localPath(pod, 'postgres', path);
  const [pgdata, pluginsFolder, controllerFolder] = [local(PGDATA), local(PLUGINS_MOUNT), local('/controller')];
  await mkdir(dirname(pgdata), { recursive: true });
  await symlink(options.pgdata, pgdata);
  const manager = await installManager({
    ...{ account, podName: pod.name, pgdata, controllerFolder, pluginsFolder, cluster: first },
  });
  await writeConfiguration(pgdata, account, { ...fixedSettings(manager.archiveCommand), autovacuum: 'off' });
  const programs = await findPostgres(account, folder, BENCH_MAJOR);
  const logFile = join(logFolder, 'postgres.log');
  const postgres = await startPostgres({ programs, account, pgdata, socketFolder: local('/controller/run'), logFile });
  // In peace: the database is kept.
  cleanup.add(() => postgres.stop('fast'));

  let serial = 0;
  return {
    ...{ folder, account, pgdata, postgres },
    archiveTo: (place) => manager.setCluster(sourceCluster(place)),
    async startInstance() {
      const process = await kubelet.startSidecar(pod, SIDECAR_CONTAINER);
      cleanup.add(() => process.stop('SIGKILL'));
      return {
        pid: process.pid,
        async backup(place) {
          serial += 1;
          await manager.setCluster(sourceCluster(place));
          return (await takeBackup(pluginsFolder, sourceCluster(place), backupDocument(serial))).backupId;
        },
        stop: async () => void (await process.stop()),
      };
    },
    async startRestore() {
      const cluster = restoringCluster({ codec: 'none', serverName: 'bench' });
      const job = inject(recoveryJob(cluster, { major: BENCH_MAJOR }), cluster, byName, {
        sidecarImage: 'cellar:bench',
      });
      const jobPod = podOf(job.object as Job);
      await kubelet.prepare(jobPod);
      const process = await kubelet.startSidecar(jobPod, SIDECAR_CONTAINER);
      cleanup.add(() => process.stop('SIGKILL'));
      const restored = kubelet.localPath(jobPod, ROLE, PGDATA);
      const plugins = kubelet.localPath(jobPod, ROLE, PLUGINS_MOUNT);
      return {
        ...{ pid: process.pid, pgdata: restored },
        restore: async (place) => void (await restoreThroughPlugin(plugins, restoringCluster(place), restored)),
        stop: async () => void (await process.stop()),
      };
    },
  };
}

function storeName(codec: DataCodecName): string {
  return `data-${codec}`;
}

function storeOf({ store, gzipLevel, profileFolder }: StoreOptions, codec: DataCodecName) {
  const compression = codec === 'none' ? {} : { compression: codec };
  const { args } = dataPacking(codec, gzipLevel);
  const data = { jobs: JOBS, immediateCheckpoint: true, ...compression, additionalCommandArgs: args };
  return objectStoreFor(store, storeName(codec), { data }, profileFolder);
}

function parametersOf({ codec, serverName }: BasePlace): Record<string, string> {
  return { [PARAMETER_OBJECT_STORE]: storeName(codec), [PARAMETER_SERVER_NAME]: serverName };
}

/** Backups and WAL of this Cluster go to the place. */
function sourceCluster(place: BasePlace) {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'bench', namespace: NAMESPACE, uid: `${UID}5` },
    spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: parametersOf(place) }] },
    status: { currentPrimary: 'bench-1', targetPrimary: 'bench-1', timelineID: 1 },
  } satisfies Cluster;
}

/** A Cluster that is made from the newest backup of the place; it archives nowhere. */
function restoringCluster(place: BasePlace): Cluster {
  const source = { name: 'source', plugin: { name: PLUGIN_NAME, parameters: parametersOf(place) } };
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'restored', namespace: NAMESPACE, uid: `${UID}6` },
    spec: { bootstrap: { recovery: { source: source.name } }, externalClusters: [source] },
  };
}

function backupDocument(serial: number): Backup {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Backup',
    metadata: { name: `bench-${serial}`, namespace: NAMESPACE, uid: `${UID}7` },
    spec: { cluster: { name: 'bench' }, method: 'plugin', pluginConfiguration: { name: PLUGIN_NAME } },
  };
}

function podOf(job: Job): LocalPod {
  const { metadata, spec } = job;
  return { name: metadata?.name ?? '', namespace: metadata?.namespace ?? '', spec: spec.template.spec };
}
