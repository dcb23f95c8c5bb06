// What the CloudNativePG operator does to a plugin, in the order in which it does it: mutual TLS 1.3, handshake, Pre hook,
// EVALUATE and CREATE of an instance Pod, CREATE of a Job (cnpg-i-contract.md §2.2 to §3.4).
import { createSecureContext } from 'node:tls';
import { credentials as grpcCredentials } from '@grpc/grpc-js';
import { applyPatch, type Operation } from 'jsonpatch';
import type { Cluster, Job, Pod } from '../api/kube.ts';
import { PluginCapability_Service_Type as Service } from '../api/proto/gen/identity.ts';
import {
  OperatorLifecycleCapabilitiesResponse,
  OperatorLifecycleService,
  OperatorOperationType_Type as Verb,
} from '../api/proto/gen/operator_lifecycle.ts';
import { ReconcilerHooksResult_Behavior as Behavior, ReconcilerHooksService } from '../api/proto/gen/reconciler.ts';
import { type PluginConnection, shakeHands } from './handshake.ts';

export type OperatorDouble = {
  connection: PluginConnection;
  /** The Pre hook of a Cluster, if the plugin announces hooks; throws unless the answer lets the operator go on. */
  reconcile(cluster: Cluster): Promise<void>;
  /** Builds the Pod that will be created: EVALUATE, annotation with the result, CREATE. */
  createPod(cluster: Cluster, pod: Pod): Promise<{ pod: Pod; operations: Operation[] }>;
  /** Jobs get CREATE only. */
  createJob(cluster: Cluster, job: Job): Promise<{ job: Job; operations: Operation[] }>;
  close(): void;
};

const DEADLINE_MS = 30_000;

/**
 * Connects as the operator does: it trusts `tls.crt` of the server Secret itself, verifies the name of the Service, and
 * presents the client Secret.
 */
export async function connectOperator(options: {
  /** host:port */
  address: string;
  serverName: string;
  serverCertificate: string;
  client: { cert: string; key: string };
}): Promise<OperatorDouble> {
  const context = createSecureContext({
    ca: options.serverCertificate,
    ...options.client,
    minVersion: 'TLSv1.3',
    allowPartialTrustChain: true,
  });
  const connection = await shakeHands(options.address, grpcCredentials.createFromSecureContext(context), {
    deadlineMs: DEADLINE_MS,
    channel: { 'grpc.ssl_target_name_override': options.serverName, 'grpc.default_authority': options.serverName },
  });

  return {
    connection,
    async reconcile(cluster) {
      if (!connection.services.has(Service.TYPE_RECONCILER_HOOKS)) return;
      const document = encode(cluster);
      const request = { clusterDefinition: document, resourceDefinition: document };
      const { behavior } = await connection.call(ReconcilerHooksService.pre, request);
      if (behavior === Behavior.BEHAVIOR_REQUEUE || behavior === Behavior.BEHAVIOR_TERMINATE) {
        throw new Error(`the Pre hook of ${cluster.metadata.name} answered ${behavior}: the operator would wait`);
      }
    },
    async createPod(cluster, pod) {
      const evaluated = await lifecycleHook(connection, Verb.TYPE_EVALUATE, cluster, pod);
      const metadata = evaluated.object.metadata ?? {};
      const annotations = { ...metadata.annotations, 'cnpg.io/podSpec': JSON.stringify(evaluated.object.spec) };
      const annotated = { ...evaluated.object, metadata: { ...metadata, annotations } };
      const created = await lifecycleHook(connection, Verb.TYPE_CREATE, cluster, annotated);
      return { pod: created.object, operations: [...evaluated.operations, ...created.operations] };
    },
    async createJob(cluster, job) {
      const { object, operations } = await lifecycleHook(connection, Verb.TYPE_CREATE, cluster, job);
      return { job: object, operations };
    },
    close: () => connection.close(),
  };
}

/** Applies a patch as the operator's library does: a missing parent, a missing target, an index behind the end are errors. */
export function applyStrictly<T extends object>(object: T, operations: readonly Operation[]): T {
  const result = structuredClone(object);
  for (const operation of operations) {
    refuseOutOfRange(result, operation);
    const [error] = applyPatch(result, [operation]);
    if (error != null) throw new Error(`${operation.op} ${operation.path}: ${error.name}: ${error.message}`);
  }
  return result;
}

/**
 * Calls LifecycleHook when the plugin subscribes to that kind and verb, and applies its answer to the bytes that were sent.
 * Throws when the answer is no patch or does not apply.
 */
export async function lifecycleHook<T extends Pod | Job>(
  connection: PluginConnection,
  verb: Verb,
  cluster: Cluster,
  object: T,
): Promise<{ object: T; operations: Operation[] }> {
  if (!subscribes(connection, verb, object)) return { object, operations: [] };
  const { jsonPatch } = await connection.call(OperatorLifecycleService.lifecycleHook, {
    operationType: { type: verb },
    clusterDefinition: encode(cluster),
    objectDefinition: encode(object),
  });
  if (jsonPatch.length === 0) return { object, operations: [] };
  const operations: unknown = JSON.parse(jsonPatch.toString('utf8'));
  if (!isPatch(operations)) throw new Error('the answer of LifecycleHook is no RFC 6902 patch');
  return { object: applyStrictly(object, operations), operations };
}

function subscribes(connection: PluginConnection, verb: Verb, object: Pod | Job): boolean {
  const answer = connection.capabilities.get(Service.TYPE_LIFECYCLE_SERVICE);
  if (answer === undefined) return false;
  const [group = '', kind] = object.kind === 'Job' ? ['batch', 'Job'] : ['', 'Pod'];
  const { lifecycleCapabilities } = OperatorLifecycleCapabilitiesResponse.create(
    answer as OperatorLifecycleCapabilitiesResponse,
  );
  return lifecycleCapabilities.some(
    (subscription) =>
      subscription.group === group &&
      subscription.kind === kind &&
      subscription.operationTypes.some(({ type }) => type === verb),
  );
}

function isPatch(value: unknown): value is Operation[] {
  return Array.isArray(value) && value.every((item) => typeof item?.op === 'string' && typeof item?.path === 'string');
}

/** The package inserts anywhere into an array; RFC 6902 §4.1 and the operator's library do not. */
function refuseOutOfRange(document: object, operation: Operation): void {
  const tokens = operation.path.split('/').slice(1);
  const key = tokens.pop();
  let parent: unknown = document;
  for (const token of tokens) {
    parent = (parent as Record<string, unknown> | undefined)?.[token.replaceAll('~1', '/').replaceAll('~0', '~')];
  }
  if (!Array.isArray(parent) || key === '-') return;
  const limit = operation.op === 'add' ? parent.length : parent.length - 1;
  if (!/^(0|[1-9]\d*)$/.test(key ?? '') || Number(key) > limit) {
    throw new Error(`${operation.op} ${operation.path}: no such place in an array of ${parent.length}`);
  }
}

function encode(object: Cluster | Pod | Job): Buffer {
  return Buffer.from(JSON.stringify(object));
}
