// The OperatorLifecycle service: unpack, decide and inject, pack (cnpg-i-contract.md §3).
import {
  type OperatorLifecycleRequest,
  type OperatorLifecycleServer,
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../api/proto/gen/operator_lifecycle.ts';
import { type GrpcService, unary } from '../api/wire/grpc.ts';
import type { Log } from '../api/wire/log.ts';
import { isJob } from './decide.ts';
import { parseCluster, parseWorkload } from './documents.ts';
import { type InjectionSettings, inject, storesNeeded } from './inject.ts';
import { jsonPatch } from './patch.ts';
import { withReadableRequests } from './readable-requests.ts';
import { readStores, type StoreReads } from './reads.ts';

export type LifecycleDeps = {
  reads: Pick<StoreReads, 'objectStore'>;
  settings: InjectionSettings;
  log: Log;
};

/**
 * Each (group, kind) once: the operator calls once for each entry that matches. Never PATCH on Pods: it would send our
 * changes along with the operator's and be refused as immutable (§3.1).
 */
const CAPABILITIES = [
  { group: '', kind: 'Pod', operationTypes: [{ type: Verb.TYPE_CREATE }, { type: Verb.TYPE_EVALUATE }] },
  { group: 'batch', kind: 'Job', operationTypes: [{ type: Verb.TYPE_CREATE }] },
];

const UNCHANGED = Buffer.alloc(0);

/**
 * The service. CREATE and EVALUATE run the same code, so that what is compared for drift is what is created. Answers
 * come from the request and the ObjectStores that the Cluster refers to; one that is missing fails the call.
 */
export function lifecycleService(deps: LifecycleDeps): GrpcService {
  const implementation: OperatorLifecycleServer = {
    getCapabilities: unary(deps.log, () => ({ lifecycleCapabilities: CAPABILITIES })),
    lifecycleHook: unary(deps.log, async (request) => ({ jsonPatch: await answerHook(deps, request) })),
  };
  return withReadableRequests({ definition: OperatorLifecycleService, implementation }, deps.log);
}

async function answerHook(deps: LifecycleDeps, request: OperatorLifecycleRequest): Promise<Buffer> {
  const cluster = parseCluster(request.clusterDefinition);
  const object = parseWorkload(request.objectDefinition);
  const verb = request.operationType?.type ?? Verb.TYPE_UNSPECIFIED;
  if (!isSubscribed(isJob(object) ? 'Job' : 'Pod', verb)) return UNCHANGED;

  const stores = await readStores(deps.reads, cluster.metadata.namespace ?? '', storesNeeded(object, cluster));
  const injection = inject(object, cluster, stores, deps.settings);
  const operations = jsonPatch(object, injection.object);
  const facts = {
    namespace: cluster.metadata.namespace,
    cluster: cluster.metadata.name,
    object: object.metadata?.name,
    code: injection.code,
    operations: operations.length,
  };
  deps.log[verb === Verb.TYPE_EVALUATE ? 'debug' : 'info'](facts, `${injection.outcome}: ${injection.sentence}`);
  return operations.length === 0 ? UNCHANGED : Buffer.from(JSON.stringify(operations));
}

function isSubscribed(kind: string, verb: Verb): boolean {
  return CAPABILITIES.some(
    (capability) => capability.kind === kind && capability.operationTypes.some(({ type }) => type === verb),
  );
}
