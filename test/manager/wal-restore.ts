// `manager wal-restore %f %p`: what PostgreSQL's restore_command runs (cnpg-i-contract.md §5.3).
import { isAbsolute, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../api/kube.ts';
import { WALRestoreRequest_Mode as Mode, WALService } from '../../api/proto/gen/wal.ts';
import { parseWalName } from '../../api/wal-name.ts';
import { timed } from './plugin.ts';
import { type ManagerSettings, readCluster } from './settings.ts';

/** The manager waits this long before it tells PostgreSQL that a file is not there, milliseconds. */
const PAUSE_AFTER_FAILURE_MS = 100;

/** Brings one file back through the plugin; throws when PostgreSQL is to be told that it is not in the archive. */
export async function restoreWal(settings: ManagerSettings, name: string, destination: string): Promise<void> {
  const { cluster, document } = await readCluster(settings);
  refuseFutureHistory(cluster, settings.podName, name);
  try {
    await timed(settings, { command: 'wal-restore', file: name }, async (connection) => {
      await connection.call(WALService.restore, {
        clusterDefinition: document,
        sourceWalName: name,
        destinationFileName: isAbsolute(destination) ? destination : join(settings.pgdata, destination),
        parameters: {},
        mode: Mode.MODE_RECOVERY,
      });
    });
  } catch (error) {
    await delay(PAUSE_AFTER_FAILURE_MS);
    throw error;
  }
}

/** A standby must not follow a timeline that the Cluster has not reached. */
function refuseFutureHistory(cluster: Cluster, podName: string, name: string): void {
  const { currentPrimary, targetPrimary, timelineID = 0 } = cluster.status ?? {};
  if (podName === currentPrimary || podName === targetPrimary || timelineID === 0) return;
  const parsed = parseWalName(name);
  if (parsed?.kind === 'history' && parsed.timeline > timelineID) {
    throw new Error(`${name} is of a timeline after ${timelineID}`);
  }
}
