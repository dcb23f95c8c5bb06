// The Backup service: unpack, call, pack.
import type { Backup, Cluster } from '../../api/kube.ts';
import {
  BackupResult,
  type BackupServer,
  BackupService,
  BackupCapability_RPC_Type as Rpc,
} from '../../api/proto/gen/backup.ts';
import { type GrpcService, unary } from '../../api/wire/grpc.ts';
import type { Log } from '../../api/wire/log.ts';
import type { BackupInfo } from '../backup/info.ts';
import { decodeBackup, decodeCluster } from './documents.ts';

/** A base backup that is completely stored. */
export type FinishedBackup = {
  id: string;
  name: string;
  info: Pick<BackupInfo, 'beginWal' | 'endWal' | 'beginXlog' | 'endXlog'>;
  backupLabel: string;
  tablespaceMap: string;
  /** Kept in the Backup object; the catalog's maintenance relies on `clusterUID` and `pluginName`. */
  metadata: Record<string, string>;
  startedAt: Date;
  stoppedAt: Date;
};

/** What takes a base backup; resolves when `backup.info` says DONE. */
export type BackupTaker = {
  take(request: {
    cluster: Cluster;
    backup: Backup;
    parameters: Record<string, string>;
    signal: AbortSignal;
  }): Promise<FinishedBackup>;
};

/** The Backup service of an instance. */
export function backupService(deps: { taker: BackupTaker; instanceName: string; log: Log }): GrpcService {
  const { taker, instanceName, log } = deps;
  const implementation: BackupServer = {
    getCapabilities: unary(log, () => ({ capabilities: [{ rpc: { type: Rpc.TYPE_BACKUP } }] })),
    backup: unary(log, async (request, { signal }) => {
      const taken = await taker.take({
        cluster: decodeCluster(request.clusterDefinition),
        backup: decodeBackup(request.backupDefinition),
        parameters: request.parameters,
        signal,
      });
      return packResult(taken, instanceName);
    }),
  };
  return { definition: BackupService, implementation };
}

/** Where each field ends up in the Backup's status: cnpg-i-contract.md §5.4. */
function packResult(taken: FinishedBackup, instanceName: string): BackupResult {
  return BackupResult.create({
    backupId: taken.id,
    backupName: taken.name,
    startedAt: unixSeconds(taken.startedAt),
    stoppedAt: unixSeconds(taken.stoppedAt),
    beginWal: taken.info.beginWal ?? '',
    endWal: taken.info.endWal ?? '',
    beginLsn: taken.info.beginXlog ?? '',
    endLsn: taken.info.endXlog ?? '',
    backupLabelFile: Buffer.from(taken.backupLabel),
    tablespaceMapFile: Buffer.from(taken.tablespaceMap),
    instanceId: instanceName,
    online: true,
    metadata: taken.metadata,
  });
}

function unixSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000);
}
