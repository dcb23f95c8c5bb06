// The WAL service: unpack, call, pack.
import type { Cluster } from '../../api/kube.ts';
import {
  WALCapability_RPC_Type as Rpc,
  WALRestoreRequest_Mode,
  type WALServer,
  WALService,
} from '../../api/proto/gen/wal.ts';
import { type GrpcService, unary, unimplemented } from '../../api/wire/grpc.ts';
import type { Log } from '../../api/wire/log.ts';
import { decodeCluster } from './documents.ts';

/** What archives a file; resolves after the store has confirmed it. */
export type WalArchiver = {
  archive(request: {
    cluster: Cluster;
    sourceFile: string;
    checkEmptyArchive: boolean | undefined;
    signal: AbortSignal;
  }): Promise<void>;
};

/** What brings a file back; throws NotFoundError only when it is positively not there. */
export type WalRestorer = {
  restore(request: {
    cluster: Cluster;
    walName: string;
    destination: string;
    rewind: boolean;
    signal: AbortSignal;
  }): Promise<void>;
};

/** The WAL service: archive and restore. The other two methods are never called by CloudNativePG. */
export function walService(deps: { archiver: WalArchiver; restorer: WalRestorer; log: Log }): GrpcService {
  const { archiver, restorer, log } = deps;
  const capabilities = [Rpc.TYPE_ARCHIVE_WAL, Rpc.TYPE_RESTORE_WAL].map((type) => ({ rpc: { type } }));
  const implementation: WALServer = {
    getCapabilities: unary(log, () => ({ capabilities })),
    archive: unary(log, async (request, { signal }) => {
      await archiver.archive({
        cluster: decodeCluster(request.clusterDefinition),
        sourceFile: request.sourceFileName,
        checkEmptyArchive: request.checkEmptyWalArchive,
        signal,
      });
      return {};
    }),
    restore: unary(log, async (request, { signal }) => {
      await restorer.restore({
        cluster: decodeCluster(request.clusterDefinition),
        walName: request.sourceWalName,
        destination: request.destinationFileName,
        rewind: request.mode === WALRestoreRequest_Mode.MODE_REWIND,
        signal,
      });
      return {};
    }),
    status: unimplemented('WAL.Status'),
    setFirstRequired: unimplemented('WAL.SetFirstRequired'),
  };
  return { definition: WALService, implementation };
}
