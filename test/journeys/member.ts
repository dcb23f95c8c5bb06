// Another Pod of the stand's Cluster, over a copy of a data folder: what a recovery from a snapshot, a new standby or a
// failover starts from. Its WAL comes through a sidecar of its own and nothing else.
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster, Pod } from '../../api/kube.ts';
import { EMPTY_ARCHIVE_MARKER, PLUGIN_NAME, PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../../api/names.ts';
import type { ObjectStore } from '../../api/objectstore.ts';
import { WALRestoreRequest_Mode as Mode, WALService } from '../../api/proto/gen/wal.ts';
import { inject } from '../../injector/inject.ts';
import { localPod } from '../kubelet.ts';
import { fixedSettings, write, writeConfiguration } from '../manager/configuration.ts';
import { type InstalledManager, installManager } from '../manager/install.ts';
import { connectPlugin } from '../manager/plugin.ts';
import { instancePod } from '../operator-objects.ts';
import { type Postgres, startPostgres } from '../postgres.ts';
import type { LocalProcess } from '../process.ts';
import { clusterDocument, STORE, type Stand } from '../stand.ts';

export type Member = {
  name: string;
  pgdata: string;
  pluginsFolder: string;
  manager: InstalledManager;
  sidecar: LocalProcess;
  /** Starts its server, in recovery when `signal` says so; nothing is archived before `archive`. */
  start(signal?: 'recovery.signal' | 'standby.signal'): Promise<Postgres>;
  /** Makes it the primary that the Cluster names, on that timeline; from now on its server archives. */
  archive(postgres: Postgres, timelineID: number): Promise<void>;
};

const ORIGIN = 'origin';

/** Instance `<cluster>-<serial>` with its sidecar; its server is still to be started. */
export async function startMember(
  stand: Stand,
  options: { serial: number; copy: string; cluster: Cluster; settings?: Record<string, string> },
): Promise<Member> {
  const { account, programs, kubelet, cleanup, folder } = stand;
  const { cluster } = options;
  // What the test API server holds was made by the stand.
  const stores = new Map([[STORE, stand.kubeApi.get('ObjectStore', STORE) as unknown as ObjectStore]]);
  const original = instancePod(cluster, { serial: options.serial, major: programs.major });
  const pod = localPod(inject(original, cluster, stores, { sidecarImage: 'cellar:test' }).object as Pod);
  await kubelet.prepare(pod);
  const local = (path: string): string => kubelet.localPath(pod, 'postgres', path);
  const pgdata = local('/var/lib/postgresql/data/pgdata');
  const pluginsFolder = local(PLUGINS_MOUNT);
  await cp(options.copy, pgdata, { recursive: true, verbatimSymlinks: true });
  await account.own(pgdata);

  const manager = await installManager({
    ...{ account, podName: pod.name, pgdata, pluginsFolder, cluster },
    controllerFolder: local('/controller'),
  });
  const restoreCommand = manager.archiveCommand.replace('wal-archive', 'wal-restore').replace('%p', '%f %p');
  const settings = { ...fixedSettings(''), restore_command: restoreCommand, ...options.settings };
  await writeConfiguration(pgdata, account, settings);
  const sidecar = await kubelet.startSidecar(pod, SIDECAR_CONTAINER);
  cleanup.add(() => sidecar.stop('SIGKILL'));
  return {
    ...{ name: pod.name, pgdata, pluginsFolder, manager, sidecar },
    async start(signal) {
      if (signal !== undefined) await write(pgdata, account, signal, '');
      const logFile = join(folder, 'logs', `${pod.name}.postgres.log`);
      const place = { programs, account, pgdata, socketFolder: local('/controller/run'), logFile };
      const postgres = await startPostgres(place);
      cleanup.add(() => postgres.stop('immediate'));
      return postgres;
    },
    async archive(postgres, timelineID) {
      const status = { currentPrimary: pod.name, targetPrimary: pod.name, timelineID };
      await manager.setCluster({ ...cluster, status });
      await writeConfiguration(pgdata, account, { ...settings, ...fixedSettings(manager.archiveCommand) });
      await postgres.query('select pg_reload_conf()');
    },
  };
}

/**
 * Copies a data folder whose server does not run, without its WAL: all of it has to come out of the archive. The marker
 * is left behind too, as the copy belongs to a Cluster that has archived before.
 */
export async function copyWithoutWal(pgdata: string, copy: string): Promise<void> {
  await cp(pgdata, copy, { recursive: true, verbatimSymlinks: true });
  await rm(join(copy, EMPTY_ARCHIVE_MARKER), { force: true });
  const wal = join(copy, 'pg_wal');
  for (const entry of await readdir(wal, { withFileTypes: true })) if (entry.isFile()) await rm(join(wal, entry.name));
}

/** The Cluster while it recovers from the archive of its own server name: no Pod of it is the primary yet. */
export function recoveringCluster(): Cluster {
  const document = clusterDocument();
  const parameters = { barmanObjectName: STORE, serverName: document.metadata.name };
  return {
    ...document,
    spec: {
      ...document.spec,
      bootstrap: { recovery: { source: ORIGIN } },
      externalClusters: [{ name: ORIGIN, plugin: { name: PLUGIN_NAME, parameters } }],
    },
  };
}

/** Archives one file as the manager would. */
export async function archiveFile(pluginsFolder: string, cluster: Cluster, sourceFileName: string): Promise<void> {
  const connection = await connectPlugin(pluginsFolder);
  const clusterDefinition = Buffer.from(JSON.stringify(cluster));
  try {
    await connection.call(WALService.archive, { clusterDefinition, sourceFileName, parameters: {} });
  } finally {
    connection.close();
  }
}

/** Asks a member's sidecar for a file, as the manager would; returns where it is. */
export async function fetchFile(stand: Stand, member: Member, cluster: Cluster, name: string): Promise<string> {
  const folder = join(stand.folder, `fetched-by-${member.name}`);
  await mkdir(folder, { recursive: true });
  await stand.account.own(folder);
  const connection = await connectPlugin(member.pluginsFolder);
  try {
    await connection.call(WALService.restore, {
      clusterDefinition: Buffer.from(JSON.stringify(cluster)),
      sourceWalName: name,
      destinationFileName: join(folder, name),
      parameters: {},
      mode: Mode.MODE_RECOVERY,
    });
    return join(folder, name);
  } finally {
    connection.close();
  }
}
