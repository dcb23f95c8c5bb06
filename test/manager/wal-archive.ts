// `manager wal-archive %p`: what PostgreSQL's archive_command runs (cnpg-i-contract.md §5.2).
import { access } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, EMPTY_ARCHIVE_MARKER } from '../../api/names.ts';
import { WALService } from '../../api/proto/gen/wal.ts';
import { timed } from './plugin.ts';
import { type ManagerSettings, readCluster } from './settings.ts';

/** Archives one file through the plugin; throws when PostgreSQL has to keep it and try again. */
export async function archiveWal(settings: ManagerSettings, path: string): Promise<void> {
  const { cluster, document } = await readCluster(settings);
  if (cluster.status?.currentPrimary !== settings.podName) {
    throw new Error(`switchover in progress: the current primary is ${cluster.status?.currentPrimary ?? 'not known'}`);
  }
  const checkEmptyWalArchive = await wantsEmptyCheck(cluster, settings.pgdata);
  await timed(settings, { command: 'wal-archive', file: basename(path) }, async (connection) => {
    await connection.call(WALService.archive, {
      clusterDefinition: document,
      sourceFileName: isAbsolute(path) ? path : join(settings.pgdata, path),
      parameters: {},
      checkEmptyWalArchive,
    });
  });
}

async function wantsEmptyCheck(cluster: Cluster, pgdata: string): Promise<boolean> {
  if (cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] === 'enabled') return false;
  return access(join(pgdata, EMPTY_ARCHIVE_MARKER)).then(
    () => true,
    () => false,
  );
}
