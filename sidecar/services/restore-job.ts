// The service of the recovery Job: unpack, call, pack.
import type { Cluster } from '../../api/kube.ts';
import {
  RestoreJobHooksCapability_Kind as Kind,
  type RestoreJobHooksServer,
  RestoreJobHooksService,
} from '../../api/proto/gen/restore_job.ts';
import { type GrpcService, unary } from '../../api/wire/grpc.ts';
import type { Log } from '../../api/wire/log.ts';
import { decodeCluster } from './documents.ts';

/** What fills PGDATA and says how PostgreSQL goes on from there: configuration text and `NAME=VALUE` items. */
export type Restorer = {
  restore(request: {
    cluster: Cluster;
    checkEmptyArchive: boolean | undefined;
    signal: AbortSignal;
  }): Promise<{ config: string; env: string[] }>;
};

/** The RestoreJobHooks service. */
export function restoreJobService(deps: { restorer: Restorer; log: Log }): GrpcService {
  const { restorer, log } = deps;
  const implementation: RestoreJobHooksServer = {
    getCapabilities: unary(log, () => ({ capabilities: [{ kind: Kind.KIND_RESTORE }] })),
    restore: unary(log, async (request, { signal }) => {
      const { config, env } = await restorer.restore({
        cluster: decodeCluster(request.clusterDefinition),
        checkEmptyArchive: request.checkEmptyWalArchive,
        signal,
      });
      return { restoreConfig: config, envs: env };
    }),
  };
  return { definition: RestoreJobHooksService, implementation };
}
