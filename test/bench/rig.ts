// The sidecar as Kubernetes would run it, without a PostgreSQL behind it: a Pod whose data folder holds segments, an API
// server, and an ObjectStore for each way of packing.
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Cluster, EnvVar, Pod } from '../../api/kube.ts';
import {
  PARAMETER_OBJECT_STORE,
  PARAMETER_SERVER_NAME,
  PLUGIN_NAME,
  PLUGINS_MOUNT,
  SIDECAR_CONTAINER,
} from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { WALRestoreRequest_Mode as Mode, WALService } from '../../api/proto/gen/wal.ts';
import { inject } from '../../injector/inject.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { startKubeApi } from '../kube-api.ts';
import { createKubelet, localPod } from '../kubelet.ts';
import { connectPlugin } from '../manager/plugin.ts';
import { instancePod } from '../operator-objects.ts';
import { type Account, makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { buildEntryPoint } from './bundle.ts';
import { NAMESPACE, objectStoreFor, secretOf } from './kube-objects.ts';
import { PACKINGS } from './packings.ts';
import { BENCH_MAJOR } from './postgres-major.ts';
import { movedTo, type ProviderPlace } from './provider-place.ts';
import type { BenchStore } from './store.ts';

/** Where in the bucket, and how packed. */
export type Place = { objectStore: string; serverName: string };

export type Sidecar = {
  pid: number;
  /** One call, as the instance manager makes it; throws what the plugin answers. */
  archive(place: Place, path: string): Promise<void>;
  restore(place: Place, name: string, destination: string): Promise<void>;
  stop(): Promise<void>;
};

export type Rig = {
  /** The sidecar's user owns it. */
  folder: string;
  pgdata: string;
  pgWal: string;
  account: Account;
  own(path: string): Promise<void>;
  /** Starts a fresh process and connects to its socket. */
  start(): Promise<Sidecar>;
};

/** In flight at a time, in the ObjectStores that go ahead. */
export const MAX_PARALLEL = 8;
/** Levels follow the backlog there. */
export const EFFORT_STORE = 'gzip-effort';

/** The ObjectStore of a way of packing: one file after the other, or `MAX_PARALLEL` at a time. */
export function storeName(codec: string, ahead: 'ahead' | 'single'): string {
  return `${codec}-${ahead}`;
}

const PGDATA = '/var/lib/postgresql/data/pgdata';

/** Prepares everything but the sidecar. */
export async function startRig(options: {
  store: BenchStore;
  /** A store of another provider, which every ObjectStore is there for too, under the name that `nameAt` tells. */
  other?: ProviderPlace;
  controlFile: string;
  profileFolder: string | undefined;
  cleanup: Cleanup;
}): Promise<Rig> {
  const { store, other, cleanup, profileFolder } = options;
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
  if (other !== undefined) await kubeApi.apply(other.secret);
  const stores = objectStores(store, other, profileFolder);
  for (const objectStore of stores) await kubeApi.apply({ ...objectStore });

  const entryPoint = await buildEntryPoint(folder);
  const kubelet = createKubelet({ folder, logFolder, account, kubeApi, entryPoint });
  const original = instancePod(clusterFor(defaultPlace), { serial: 1, major: BENCH_MAJOR });
  const byName = new Map(stores.map((objectStore) => [objectStore.metadata.name ?? '', objectStore]));
  const injected = inject(original, clusterFor(defaultPlace), byName, { sidecarImage: 'cellar:bench' });
  const pod = localPod(injected.object as Pod);
  await kubelet.prepare(pod);
  const pgdata = kubelet.localPath(pod, 'postgres', PGDATA);
  await mkdir(join(pgdata, 'global'), { recursive: true });
  await mkdir(join(pgdata, 'pg_wal'));
  await copyFile(options.controlFile, join(pgdata, 'global', 'pg_control'));
  await account.own(dirname(pgdata));
  const pluginsFolder = kubelet.localPath(pod, 'postgres', PLUGINS_MOUNT);

  return {
    ...{ folder, pgdata, pgWal: join(pgdata, 'pg_wal'), account, own: account.own },
    async start() {
      const process = await kubelet.startSidecar(pod, SIDECAR_CONTAINER);
      cleanup.add(() => process.stop('SIGKILL'));
      const connection = await connectPlugin(pluginsFolder);
      return {
        pid: process.pid,
        async archive(place, path) {
          const request = { clusterDefinition: documentFor(place), sourceFileName: path, parameters: {} };
          await connection.call(WALService.archive, { ...request, checkEmptyWalArchive: false });
        },
        async restore(place, name, destination) {
          const request = { clusterDefinition: documentFor(place), sourceWalName: name, parameters: {} };
          await connection.call(WALService.restore, {
            ...{ ...request, destinationFileName: destination, mode: Mode.MODE_RECOVERY },
          });
        },
        async stop() {
          connection.close();
          await process.stop();
        },
      };
    },
  };
}

const defaultPlace: Place = { objectStore: storeName('gzip', 'single'), serverName: 'bench' };

/** This Pod is the primary: it archives to, and restores from, the store of its own. */
function clusterFor({ objectStore, serverName }: Place): Cluster {
  const parameters = { [PARAMETER_OBJECT_STORE]: objectStore, [PARAMETER_SERVER_NAME]: serverName };
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'bench', namespace: NAMESPACE, uid: '6f0c6f0e-0000-4000-8000-000000000004' },
    spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters }] },
    status: { currentPrimary: 'bench-1', targetPrimary: 'bench-1', timelineID: 1 },
  };
}

function documentFor(place: Place): Buffer {
  return Buffer.from(JSON.stringify(clusterFor(place)));
}

function objectStores(
  store: BenchStore,
  other: ProviderPlace | undefined,
  profileFolder: string | undefined,
): ObjectStore[] {
  const build = (name: string, wal: NonNullable<ObjectStore['spec']['configuration']['wal']>) =>
    withEnvironment(objectStoreFor(store, name, { wal }, profileFolder), other?.env ?? []);
  const all = [
    ...Object.values(PACKINGS).flatMap(({ codec, wal }) => [
      build(storeName(codec, 'single'), wal),
      build(storeName(codec, 'ahead'), { ...wal, maxParallel: MAX_PARALLEL }),
    ]),
    build(EFFORT_STORE, { compression: 'gzip', maxParallel: MAX_PARALLEL }),
  ];
  return other === undefined ? all : [...all, ...all.map((objectStore) => movedTo(other, objectStore))];
}

/** The sidecar has one environment, whichever of its stores it talks to. */
function withEnvironment(objectStore: ObjectStore, added: EnvVar[]): ObjectStore {
  if (added.length === 0) return objectStore;
  const { instanceSidecarConfiguration: sidecar } = objectStore.spec;
  const env = [...(sidecar?.env ?? []), ...added];
  return { ...objectStore, spec: { ...objectStore.spec, instanceSidecarConfiguration: { ...sidecar, env } } };
}
