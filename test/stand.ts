// A stand for tests that need the sidecar as a process of its own: a store, the API server, and a Pod with PostgreSQL
// whose sidecar the pure injector put in. The demo shows the same through the operator's doors.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster, Pod } from '../api/kube.ts';
import { EMPTY_ARCHIVE_MARKER, PLUGIN_NAME, PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../api/names.ts';
import type { ObjectStore, ObjectStoreConfiguration } from '../api/objectstore.ts';
import { inject } from '../injector/inject.ts';
import { type Cleanup, createCleanup } from './demo/cleanup.ts';
import { type KubeApi, startKubeApi } from './kube-api.ts';
import { createKubelet, type Kubelet, type LocalPod, localPod } from './kubelet.ts';
import { fixedSettings, write, writeConfiguration } from './manager/configuration.ts';
import { type InstalledManager, installManager } from './manager/install.ts';
import { instancePod } from './operator-objects.ts';
import { findPostgres, initDatabase, type Postgres, type PostgresPrograms, startPostgres } from './postgres.ts';
import type { LocalProcess } from './process.ts';
import { startS3, type TestS3 } from './servers/s3rver.ts';
import { type Account, makeShortFolder, unprivilegedAccount } from './unprivileged.ts';

export const BUCKET = 'backups';
export const STORE = 'minio-store';

/** s3rver, or another S3 server with keys of its own. */
export type StandS3 = Pick<TestS3, 'endpoint' | 'accessKeyId' | 'secretAccessKey' | 'createBucket' | 'stop'>;

export type Stand = {
  folder: string;
  account: Account;
  programs: PostgresPrograms;
  kubeApi: KubeApi;
  kubelet: Kubelet;
  s3: StandS3;
  cleanup: Cleanup;
  /** Replaces the ObjectStore's configuration; the sidecar sees it within 10 s. */
  configure(configuration: Partial<ObjectStoreConfiguration>): Promise<ObjectStore>;
};

export type StandInstance = {
  cluster: Cluster;
  pod: LocalPod;
  pgdata: string;
  pluginsFolder: string;
  postgres: Postgres;
  manager: InstalledManager;
  startSidecar(): Promise<LocalProcess>;
};

const PGDATA = '/var/lib/postgresql/data/pgdata';
const NAMESPACE = 'default';

/** Starts store and API server; `endpoint` may put a proxy in front of the store. Undo with `cleanup.run`. */
export async function startStand(
  options: {
    postgresMajor?: number;
    endpoint?: (s3: string, cleanup: Cleanup) => Promise<string>;
    startStore?: () => Promise<StandS3>;
  } = {},
): Promise<Stand> {
  const cleanup = createCleanup();
  try {
    const account = unprivilegedAccount();
    const folder = await makeShortFolder('cellar-stand-');
    cleanup.add(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, 'logs'));
    await account.own(folder);
    const programs = await findPostgres(account, folder, options.postgresMajor);
    const kubeApi = await startKubeApi({ namespace: NAMESPACE });
    cleanup.add(() => kubeApi.stop());
    const s3 = await (options.startStore ?? startS3)();
    cleanup.add(() => s3.stop());
    await s3.createBucket(BUCKET);
    const endpointURL = (await options.endpoint?.(s3.endpoint, cleanup)) ?? s3.endpoint;
    const kubelet = createKubelet({ folder, logFolder: join(folder, 'logs'), account, kubeApi });
    await kubeApi.apply(secret(s3));
    const stand: Stand = {
      ...{ folder, account, programs, kubeApi, kubelet, s3, cleanup },
      async configure(configuration) {
        const store = objectStore({ endpointURL, ...configuration });
        await kubeApi.apply({ ...store });
        return store;
      },
    };
    await stand.configure({});
    return stand;
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

/** A primary with a database of its own; PostgreSQL runs, the sidecar is started by `startSidecar`. */
export async function startInstance(
  stand: Stand,
  options: {
    settings?: Record<string, string>;
    /** `--wal-segsize` of its database. */
    segmentSizeMiB?: number;
    /** Sees the data folder before its server has ever run: a copy taken now needs all WAL. */
    beforeStart?: (pgdata: string) => Promise<void>;
  } = {},
) {
  const { account, programs, kubelet, kubeApi, cleanup, folder } = stand;
  await kubeApi.apply(clusterDocument());
  const status = { currentPrimary: 'pg-main-1', targetPrimary: 'pg-main-1', timelineID: 1 };
  kubeApi.setStatus('Cluster', 'pg-main', status);
  const cluster: Cluster = { ...clusterDocument(), status };
  const stores = new Map([[STORE, objectStore({})]]);
  const original = instancePod(cluster, { serial: 1, major: programs.major });
  const pod = localPod(inject(original, cluster, stores, { sidecarImage: 'cellar:test' }).object as Pod);
  await kubelet.prepare(pod);

  const local = (path: string): string => kubelet.localPath(pod, 'postgres', path);
  const pgdata = local(PGDATA);
  const pluginsFolder = local(PLUGINS_MOUNT);
  const controllerFolder = local('/controller');
  const logFile = join(folder, 'logs', 'postgres.log');
  const { segmentSizeMiB } = options;
  await initDatabase({
    ...{ programs, account, pgdata, logFile },
    ...(segmentSizeMiB === undefined ? {} : { segmentSizeMiB }),
  });
  const manager = await installManager({
    ...{ account, podName: pod.name, pgdata, controllerFolder, pluginsFolder, cluster },
  });
  await writeConfiguration(pgdata, account, { ...fixedSettings(manager.archiveCommand), ...options.settings });
  await write(pgdata, account, EMPTY_ARCHIVE_MARKER, '');
  await options.beforeStart?.(pgdata);
  const socketFolder = local('/controller/run');
  const postgres = await startPostgres({ programs, account, pgdata, socketFolder, logFile });
  cleanup.add(() => postgres.stop('immediate'));
  return {
    ...{ cluster, pod, pgdata, pluginsFolder, postgres, manager },
    async startSidecar() {
      const sidecar = await kubelet.startSidecar(pod, SIDECAR_CONTAINER);
      cleanup.add(() => sidecar.stop('SIGKILL'));
      return sidecar;
    },
  } satisfies StandInstance;
}

export function clusterDocument(): Cluster & { metadata: { name: string; namespace: string } } {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'pg-main', namespace: NAMESPACE, uid: '6f0c6f0e-0000-4000-8000-000000000001' },
    spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: STORE } }] },
  };
}

/** The ObjectStore that all processes of a stand are told of; its endpoint is to be given. */
export function objectStore(configuration: Partial<ObjectStoreConfiguration>): ObjectStore {
  return {
    apiVersion: 'barmancloud.cnpg.io/v1',
    kind: 'ObjectStore',
    metadata: { name: STORE, namespace: NAMESPACE },
    spec: {
      configuration: {
        destinationPath: `s3://${BUCKET}/`,
        s3Credentials: {
          accessKeyId: { name: 'minio', key: 'ACCESS_KEY_ID' },
          secretAccessKey: { name: 'minio', key: 'ACCESS_SECRET_KEY' },
        },
        wal: { compression: 'gzip' },
        data: { compression: 'gzip', immediateCheckpoint: true },
        ...configuration,
      },
    },
  };
}

function secret(s3: StandS3) {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const data = { ACCESS_KEY_ID: base64(s3.accessKeyId), ACCESS_SECRET_KEY: base64(s3.secretAccessKey) };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'minio', namespace: NAMESPACE }, data };
}
