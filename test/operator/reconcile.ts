// One turn of the operator's loop over a Cluster, call by call (cnpg-i-contract.md §2.4, §2.6, §3, §4). What the operator
// would do to the API server is done to `world`, which holds the Cluster's Pods and Jobs.
import type { Cluster, Job, Pod, PodSpec } from '../../api/kube.ts';
import { PluginCapability_Service_Type as Service } from '../../api/proto/gen/identity.ts';
import {
  OperatorCapability_RPC_Type as OperatorCall,
  OperatorCapabilitiesResult,
  OperatorService,
} from '../../api/proto/gen/operator.ts';
import { OperatorOperationType_Type as Verb } from '../../api/proto/gen/operator_lifecycle.ts';
import {
  ReconcilerHooksResult_Behavior as Behavior,
  ReconcilerHooksCapability_Kind as Kind,
  ReconcilerHooksCapabilitiesResult,
  type ReconcilerHooksResult,
  ReconcilerHooksService,
} from '../../api/proto/gen/reconciler.ts';
import type { PluginConnection } from '../handshake.ts';
import { lifecycleHook } from '../operator-double.ts';
import { drift } from './drift.ts';
import type { Lent, Pool } from './pool.ts';
import { refuseInvalidPodSpec } from './refuse-pod.ts';

export type World = { pods: Map<string, Pod>; jobs: Map<string, Job> };

/** What the operator wants to exist, before any plugin has seen it. */
export type Wanted = { pods?: readonly Pod[]; jobs?: readonly Job[] };

export type PluginStatus = { name: string; version: string; capabilities: string[] };

export type Turn = {
  /** As `status.phase`, shortened; `waiting` leaves the phase as it is. */
  phase: 'healthy' | 'unknown-plugin' | 'plugin-error' | 'waiting' | 'deleted' | 'disabled';
  reason?: string;
  /** Seconds; undefined: nothing is scheduled, or the queue's own growing intervals. */
  requeueAfterS?: number;
  pluginStatus: PluginStatus[];
  /** Pods that were deleted to be made anew, with what differed. */
  rolled: { pod: string; why: string[] }[];
};

const ANNOTATION_POD_SPEC = 'cnpg.io/podSpec';

/** Runs one turn. `plugins` are those that were discovered; the Cluster is the one that the operator has in its hand. */
export async function reconcileCluster(
  plugins: ReadonlyMap<string, Pool>,
  cluster: Cluster,
  wanted: Wanted,
  world: World,
): Promise<Turn> {
  const turn: Turn = { phase: 'healthy', pluginStatus: [], rolled: [] };
  if (cluster.metadata.deletionTimestamp !== undefined) return { ...turn, phase: 'deleted' };
  const names = enabledPlugins(cluster);
  const unknown = names.find((name) => !plugins.has(name));
  if (unknown !== undefined) return { ...turn, phase: 'unknown-plugin', reason: unknown, requeueAfterS: 10 };
  const lent: Lent[] = [];
  try {
    for (const name of names) lent.push(await known(plugins, name).take());
  } catch (error) {
    for (const { giveBack } of lent) giveBack();
    return { ...turn, phase: 'plugin-error', reason: String(error) };
  }
  try {
    const connections = lent.map(({ connection }) => connection);
    return await withPlugins(connections, cluster, { wanted, world, turn });
  } catch (error) {
    return { ...turn, phase: 'plugin-error', reason: String(error), requeueAfterS: 15 };
  } finally {
    for (const { giveBack } of lent) giveBack();
  }
}

/** Enabled ones of `spec.plugins` and of external clusters, each once, by alphabet. */
export function enabledPlugins({ spec }: Cluster): string[] {
  const stanzas = [...(spec.plugins ?? []), ...(spec.externalClusters ?? []).flatMap(({ plugin }) => plugin ?? [])];
  return [...new Set(stanzas.filter(({ enabled }) => enabled !== false).map(({ name }) => name))].sort();
}

/** Asks the hooks in turn; the first answer that is not to continue ends the chain. */
export async function callHooks(
  connections: readonly PluginConnection[],
  method: typeof ReconcilerHooksService.pre | typeof ReconcilerHooksService.post,
  cluster: Cluster,
  resource: object & { kind?: string },
): Promise<ReconcilerHooksResult> {
  const kind = resource.kind === 'Backup' ? Kind.KIND_BACKUP : Kind.KIND_CLUSTER;
  const request = { clusterDefinition: encode(cluster), resourceDefinition: encode(resource) };
  for (const connection of connections) {
    if (!hasHook(connection, kind)) continue;
    const answer = await connection.call(method, request);
    if (answer.behavior === Behavior.BEHAVIOR_REQUEUE || answer.behavior === Behavior.BEHAVIOR_TERMINATE) return answer;
  }
  return { behavior: Behavior.BEHAVIOR_CONTINUE, requeueAfter: 0 };
}

function known(plugins: ReadonlyMap<string, Pool>, name: string): Pool {
  const pool = plugins.get(name);
  if (pool === undefined) throw new Error(`the plugin ${name} is not registered`);
  return pool;
}

async function withPlugins(
  connections: readonly PluginConnection[],
  cluster: Cluster,
  { wanted, world, turn }: { wanted: Wanted; world: World; turn: Turn },
): Promise<Turn> {
  if (cluster.metadata.annotations?.['cnpg.io/reconciliationLoop'] === 'disabled')
    return { ...turn, phase: 'disabled' };
  const pluginStatus = connections.map(({ metadata, services }) => ({
    ...{ name: metadata.name, version: metadata.version },
    capabilities: Object.entries(Service).flatMap(([word, service]) => (services.has(service) ? [word] : [])),
  }));
  const pre = await callHooks(connections, ReconcilerHooksService.pre, cluster, cluster);
  if (pre.behavior !== Behavior.BEHAVIOR_CONTINUE) {
    const requeues = pre.behavior === Behavior.BEHAVIOR_REQUEUE && pre.requeueAfter > 0;
    return { ...turn, pluginStatus, phase: 'waiting', ...(requeues ? { requeueAfterS: pre.requeueAfter } : {}) };
  }
  for (const job of wanted.jobs ?? []) await createJob(connections, cluster, job, world);
  const rolled: Turn['rolled'] = [];
  for (const pod of wanted.pods ?? []) rolled.push(...(await createOrRoll(connections, cluster, pod, world)));
  const post = await callHooks(connections, ReconcilerHooksService.post, cluster, cluster);
  await setStatus(connections, cluster);
  const requeues = post.behavior === Behavior.BEHAVIOR_REQUEUE && post.requeueAfter > 0;
  return { ...turn, pluginStatus, rolled, ...(requeues ? { requeueAfterS: post.requeueAfter } : {}) };
}

async function createJob(connections: readonly PluginConnection[], cluster: Cluster, job: Job, world: World) {
  const name = job.metadata?.name ?? '';
  if (world.jobs.has(name)) return;
  const created = await passThrough(connections, Verb.TYPE_CREATE, cluster, job);
  refuseInvalidPodSpec(created.spec.template.spec);
  world.jobs.set(name, created);
}

async function createOrRoll(connections: readonly PluginConnection[], cluster: Cluster, pod: Pod, world: World) {
  const name = pod.metadata?.name ?? '';
  const running = world.pods.get(name);
  if (running === undefined) {
    world.pods.set(name, await createPod(connections, cluster, pod));
    return [];
  }
  if (cluster.metadata.annotations?.['cnpg.io/reconcilePodSpec'] === 'disabled') return [];
  const why = await driftOf(connections, cluster, pod, running);
  if (why.length === 0) return [];
  // Deleted and, in a later turn, made anew: here at once.
  world.pods.set(name, await createPod(connections, cluster, pod));
  return [{ pod: name, why }];
}

/** EVALUATE, the result as an annotation, CREATE: which must not change the spec that was written down. */
async function createPod(connections: readonly PluginConnection[], cluster: Cluster, pod: Pod): Promise<Pod> {
  const evaluated = await passThrough(connections, Verb.TYPE_EVALUATE, cluster, pod);
  if (evaluated.metadata?.annotations === undefined) {
    throw new Error('EVALUATE removed metadata.annotations, into which the operator writes');
  }
  const podSpec = JSON.stringify(evaluated.spec);
  const annotations = { ...evaluated.metadata.annotations, [ANNOTATION_POD_SPEC]: podSpec };
  const annotated = { ...evaluated, metadata: { ...evaluated.metadata, annotations } };
  const created = await passThrough(connections, Verb.TYPE_CREATE, cluster, annotated);
  const changes = drift(JSON.parse(podSpec), created.spec);
  if (changes.length > 0) throw new Error(`CREATE changed what EVALUATE had said: ${changes.join(', ')}`);
  refuseInvalidPodSpec(created.spec);
  return created;
}

/** An EVALUATE that fails is only logged: that Pod counts as up to date. */
async function driftOf(connections: readonly PluginConnection[], cluster: Cluster, pod: Pod, running: Pod) {
  const stored: PodSpec = JSON.parse(
    running.metadata?.annotations?.[ANNOTATION_POD_SPEC] ?? JSON.stringify(running.spec),
  );
  try {
    const target = await passThrough(connections, Verb.TYPE_EVALUATE, cluster, pod);
    return drift(stored, target.spec);
  } catch {
    return [];
  }
}

/** Each plugin sees what the one before has made of it. */
async function passThrough<T extends Pod | Job>(
  connections: readonly PluginConnection[],
  verb: Verb,
  cluster: Cluster,
  object: T,
): Promise<T> {
  let current = object;
  for (const connection of connections) current = (await lifecycleHook(connection, verb, cluster, current)).object;
  return current;
}

async function setStatus(connections: readonly PluginConnection[], cluster: Cluster): Promise<void> {
  for (const connection of connections) {
    const answer = connection.capabilities.get(Service.TYPE_OPERATOR_SERVICE);
    if (answer === undefined) continue;
    const { capabilities } = OperatorCapabilitiesResult.create(answer as OperatorCapabilitiesResult);
    if (!capabilities.some(({ rpc }) => rpc?.type === OperatorCall.TYPE_SET_STATUS_IN_CLUSTER)) continue;
    const { jsonStatus } = await connection.call(OperatorService.setStatusInCluster, { cluster: encode(cluster) });
    if (jsonStatus.length === 0) continue;
    const status: unknown = JSON.parse(jsonStatus.toString('utf8'));
    if (typeof status !== 'object' || status === null || Array.isArray(status)) {
      throw new Error('the status that a plugin sets must be a JSON object');
    }
  }
}

function hasHook({ services, capabilities }: PluginConnection, kind: Kind): boolean {
  if (!services.has(Service.TYPE_RECONCILER_HOOKS)) return false;
  const answer = capabilities.get(Service.TYPE_RECONCILER_HOOKS) as ReconcilerHooksCapabilitiesResult;
  const { reconcilerCapabilities } = ReconcilerHooksCapabilitiesResult.create(answer);
  return reconcilerCapabilities.some((capability) => capability.kind === kind);
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
