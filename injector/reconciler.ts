// The ReconcilerHooks service: before a Cluster is reconciled, its sidecars get their rights (cnpg-i-contract.md §4).
import type { Cluster } from '../api/kube.ts';
import { referencedStores, resolveParameters } from '../api/parameters.ts';
import {
  ReconcilerHooksResult_Behavior as Behavior,
  ReconcilerHooksCapability_Kind as Kind,
  type ReconcilerHooksRequest,
  type ReconcilerHooksServer,
  ReconcilerHooksService,
} from '../api/proto/gen/reconciler.ts';
import type { EventWriter } from '../api/wire/events.ts';
import { type GrpcService, unary } from '../api/wire/grpc.ts';
import type { Log } from '../api/wire/log.ts';
import { type AccessPort, ensureAccess } from './access.ts';
import { parseCluster, parseKind } from './documents.ts';
import { MISSING_STORE_REASON, missingStoreMessage } from './missing-store.ts';
import { withReadableRequests } from './readable-requests.ts';
import { MissingObjectError, readStores, type StoreReads } from './reads.ts';

export type ReconcilerDeps = {
  reads: Pick<StoreReads, 'objectStore'>;
  access: AccessPort;
  events: Pick<EventWriter, 'warn'>;
  version: string;
  log: Log;
};

const CONTINUE = { behavior: Behavior.BEHAVIOR_CONTINUE, requeueAfter: 0 };

/** Zero: the operator comes back at its own growing intervals. */
const REQUEUE = { behavior: Behavior.BEHAVIOR_REQUEUE, requeueAfter: 0 };

/**
 * The service. Pre of a Cluster ensures its Role and RoleBinding; a missing ObjectStore makes the operator wait, and an
 * Event on the Cluster says why. Backups and Post need nothing.
 */
export function reconcilerService(deps: ReconcilerDeps): GrpcService {
  const implementation: ReconcilerHooksServer = {
    getCapabilities: unary(deps.log, () => ({
      reconcilerCapabilities: [{ kind: Kind.KIND_CLUSTER }, { kind: Kind.KIND_BACKUP }],
    })),
    pre: unary(deps.log, (request) => prepare(deps, request)),
    post: unary(deps.log, () => CONTINUE),
  };
  return withReadableRequests({ definition: ReconcilerHooksService, implementation }, deps.log);
}

async function prepare(deps: ReconcilerDeps, request: ReconcilerHooksRequest) {
  if (parseKind('resource_definition', request.resourceDefinition) !== 'Cluster') return CONTINUE;
  const cluster = parseCluster(request.clusterDefinition);
  try {
    await ensureAccess(deps.access, cluster, await storesOf(deps, cluster), deps.version);
    return CONTINUE;
  } catch (error) {
    if (!(error instanceof MissingObjectError)) throw error;
    const { namespace, name } = cluster.metadata;
    const message = missingStoreMessage(cluster, error.namespace, error.objectName);
    deps.log.warn({ namespace, cluster: name }, message);
    deps.events.warn(cluster, MISSING_STORE_REASON, message);
    return REQUEUE;
  }
}

async function storesOf(deps: ReconcilerDeps, cluster: Cluster) {
  const names = referencedStores(resolveParameters(cluster));
  return [...(await readStores(deps.reads, cluster.metadata.namespace ?? '', names)).values()];
}
