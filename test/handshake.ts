// A connection to a plugin as CloudNativePG builds it: the same calls in the same order, before every piece of work
// (cnpg-i-contract.md §2.3, §5.1).
import { type ChannelCredentials, Client, type ClientOptions, type ServiceError, status } from '@grpc/grpc-js';
import { BackupService } from '../api/proto/gen/backup.ts';
import {
  type GetPluginMetadataResponse,
  IdentityService,
  PluginCapability_Service_Type as Service,
} from '../api/proto/gen/identity.ts';
import { MetricsService } from '../api/proto/gen/metrics.ts';
import { OperatorService } from '../api/proto/gen/operator.ts';
import { OperatorLifecycleService } from '../api/proto/gen/operator_lifecycle.ts';
import { PostgresService } from '../api/proto/gen/postgres.ts';
import { ReconcilerHooksService } from '../api/proto/gen/reconciler.ts';
import { RestoreJobHooksService } from '../api/proto/gen/restore_job.ts';
import { WALService } from '../api/proto/gen/wal.ts';

/** One method of a generated service. */
export type Method<Q, R> = {
  path: string;
  requestSerialize: (request: Q) => Buffer;
  responseDeserialize: (bytes: Buffer) => R;
};

export type PluginConnection = {
  metadata: GetPluginMetadataResponse;
  /** What the plugin announced. */
  services: ReadonlySet<Service>;
  /** The answers of `GetCapabilities`, by announced service. */
  capabilities: ReadonlyMap<Service, unknown>;
  call<Q, R>(method: Method<Q, R>, request: Q): Promise<R>;
  close(): void;
};

/** Each announced service is asked for its capabilities, in this order; the other announcements are flags only. */
const ORDER: readonly [Service, Method<Record<string, never>, unknown>][] = [
  [Service.TYPE_OPERATOR_SERVICE, OperatorService.getCapabilities],
  [Service.TYPE_LIFECYCLE_SERVICE, OperatorLifecycleService.getCapabilities],
  [Service.TYPE_WAL_SERVICE, WALService.getCapabilities],
  [Service.TYPE_BACKUP_SERVICE, BackupService.getCapabilities],
  [Service.TYPE_RECONCILER_HOOKS, ReconcilerHooksService.getCapabilities],
  [Service.TYPE_RESTORE_JOB, RestoreJobHooksService.getCapabilities],
  [Service.TYPE_POSTGRES, PostgresService.getCapabilities],
  [Service.TYPE_METRICS, MetricsService.getCapabilities],
];

/**
 * Connects and shakes hands. `deadlineMs` is the limit of each call: 30 s over TCP, none on a unix socket. Throws the
 * first failure, worded with its gRPC code.
 */
export async function shakeHands(
  address: string,
  credentials: ChannelCredentials,
  options: { deadlineMs?: number; channel?: ClientOptions } = {},
): Promise<PluginConnection> {
  const client = new Client(address, credentials, options.channel ?? {});
  const call = <Q, R>(method: Method<Q, R>, request: Q): Promise<R> =>
    send(client, method, request, options.deadlineMs);
  try {
    const metadata = await call(IdentityService.getPluginMetadata, {});
    const announced = await call(IdentityService.getPluginCapabilities, {});
    const services = new Set(announced.capabilities.map(({ service }) => service?.type ?? Service.TYPE_UNSPECIFIED));
    const capabilities = new Map<Service, unknown>();
    for (const [service, method] of ORDER) {
      if (services.has(service)) capabilities.set(service, await call(method, {}));
    }
    await call(IdentityService.probe, {});
    return { metadata, services, capabilities, call, close: () => client.close() };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** What a plugin answered with instead of a result. */
export class PluginError extends Error {
  override readonly name = 'PluginError';
  readonly code: status;

  constructor(path: string, error: ServiceError) {
    super(`${path.slice(1)}: ${status[error.code]}: ${error.details}`);
    this.code = error.code;
  }
}

function send<Q, R>(client: Client, method: Method<Q, R>, request: Q, deadlineMs: number | undefined): Promise<R> {
  const { path, requestSerialize, responseDeserialize } = method;
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, options, (error, answer) => {
      if (error !== null) reject(new PluginError(path, error));
      else if (answer === undefined) reject(new Error(`${path}: no answer`));
      else resolve(answer);
    });
  });
}
