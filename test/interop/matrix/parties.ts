// The two parties of the matrix behind one door: our sidecar's parts, and barman's programs.
import { join } from 'node:path';
import { NotFoundError } from '../../../api/errors.ts';
import type { Cluster } from '../../../api/kube.ts';
import { PLUGIN_NAME } from '../../../api/names.ts';
import type { RestoreResponse } from '../../../api/proto/gen/restore_job.ts';
import { silentLog } from '../../../api/wire/log.ts';
import { createBackupTaker } from '../../../sidecar/backup/take.ts';
import { createRestorer } from '../../../sidecar/restore/run.ts';
import { createWalArchiver } from '../../../sidecar/wal/archive.ts';
import { createWalRestorer } from '../../../sidecar/wal/restore.ts';
import { barman, barmanAnswers } from '../barman.ts';
import type { WalWork } from './errands.ts';
import type { Origin } from './origin.ts';
import { type Place, STORE } from './place.ts';

export type Restoring = {
  id: string;
  pgdata: string;
  /** The volume for `pg_wal`; undefined: it stays in PGDATA. */
  walFolder: string | undefined;
  /** Where each tablespace goes, by name: for barman; ours reads Cluster and ObjectStore. */
  tablespaces: Map<string, string>;
  /** Volumes of tablespaces, one for each that the Cluster names. */
  tablespacesFolder: string;
  cluster: Cluster;
};

export type Party = WalWork & {
  /** Takes a backup and returns its id. */
  backUp(origin: Origin): Promise<string>;
  restore(request: Restoring): Promise<RestoreResponse>;
  stop(): Promise<void>;
};

const LIMIT_MS = 300_000;
/** What barman-cloud-wal-restore ends with when the archive has no such file. */
const ABSENT = 1;
const FOR_BARMAN: RestoreResponse = {
  restoreConfig: `restore_command = '/controller/manager wal-restore %f %p'\nrecovery_target_action = 'promote'\n`,
  envs: [],
};

/** Our side: the parts that the sidecar puts behind its socket. `folder` is for what it keeps. */
export function cellarParty(place: Place, folder: string): Party {
  const deps = { archives: place.archives, podName: 'pg-1', log: silentLog() };
  const walArchiver = createWalArchiver({ ...deps, pgdata: folder });
  const walRestorer = createWalRestorer({ ...deps, spoolDirectory: join(folder, 'spool') });
  const cluster = archivingCluster(place);
  return {
    archive: (sourceFile) => walArchiver.archive({ cluster, sourceFile, checkEmptyArchive: false, signal: limit() }),
    async fetch(walName, destination) {
      try {
        const recovering = recoveringCluster(place);
        await walRestorer.restore({ cluster: recovering, walName, destination, rewind: false, signal: limit() });
        return true;
      } catch (error) {
        if (error instanceof NotFoundError) return false;
        throw error;
      }
    },
    async backUp({ postgres, pgdata }) {
      const { socketFolder: host, port } = postgres;
      const taker = createBackupTaker({
        archives: place.archives,
        postgres: { host, port, user: 'postgres', database: 'postgres' },
        ...{ pgdata, instanceName: 'pg-1', pluginVersion: '0.1.0', log: silentLog() },
      });
      const backup = { metadata: { name: 'b' }, spec: { cluster: { name: place.server } } };
      return (await taker.take({ cluster, backup, parameters: {}, signal: limit() })).id;
    },
    async restore({ pgdata, walFolder, tablespacesFolder, cluster: recovering }) {
      const restorer = createRestorer({
        ...{ archives: place.archives, pgdata, tablespacesFolder, log: silentLog() },
        ...(walFolder === undefined ? {} : { walFolder }),
      });
      const answer = await restorer.restore({ cluster: recovering, checkEmptyArchive: false, signal: limit() });
      return { restoreConfig: answer.config, envs: answer.env };
    },
    stop: async () => walRestorer.stop(),
  };
}

/** The tools of barman; their kind of `pg_wal` is a folder in PGDATA. */
export function barmanParty(place: Place): Party {
  const { store, url, server, codec, maxArchiveSize } = place;
  const compression = codec === 'none' ? [] : [`--${codec}`];
  return {
    async archive(path) {
      await barman(store, 'wal-archive', [...compression, url, server, path]);
    },
    async fetch(name, destination) {
      const args = [url, server, name, destination];
      const { status, stderr } = await barmanAnswers(store, 'wal-restore', args);
      if (status !== 0 && status !== ABSENT) throw new Error(`barman-cloud-wal-restore ${name}: ${stderr}`);
      return status === 0;
    },
    async backUp({ postgres }) {
      const { socketFolder, port } = postgres;
      const limits = maxArchiveSize === undefined ? [] : [`--max-archive-size=${maxArchiveSize}`];
      const server_ = ['--host', socketFolder, '--port', String(port), '--user', 'postgres'];
      await barman(store, 'backup', [...compression, ...limits, '--immediate-checkpoint', ...server_, url, server]);
      const { stdout } = await barman(store, 'backup-list', ['--format', 'json', url, server]);
      const [backup] = JSON.parse(stdout).backups_list;
      if (backup?.status !== 'DONE') throw new Error(`barman lists ${stdout}`);
      return backup.backup_id;
    },
    async restore({ id, pgdata, tablespaces }) {
      const relocations = [...tablespaces].flatMap(([name, location]) => ['--tablespace', `${name}:${location}`]);
      await barman(store, 'restore', [...relocations, url, server, id, pgdata]);
      return FOR_BARMAN;
    },
    stop: async () => {},
  };
}

/** The Cluster that recovers from the place; its name is not the server's. */
export function recoveringCluster({ server }: Place): Cluster {
  const parameters = { barmanObjectName: STORE, serverName: server };
  return {
    metadata: { name: 'restored' },
    spec: {
      bootstrap: { recovery: { source: 'origin' } },
      externalClusters: [{ name: 'origin', plugin: { name: PLUGIN_NAME, parameters } }],
    },
  };
}

function archivingCluster({ server }: Place): Cluster {
  const parameters = { barmanObjectName: STORE, serverName: server };
  return {
    metadata: { name: server, uid: 'uid-1' },
    spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters }] },
    status: { currentPrimary: 'pg-1' },
  };
}

function limit(): AbortSignal {
  return AbortSignal.timeout(LIMIT_MS);
}
