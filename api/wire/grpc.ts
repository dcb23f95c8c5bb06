// A gRPC server on a unix socket or a TCP port, and the frame around every handler.
import { lstat, mkdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { CancelledError, InvalidInputError, PreconditionError } from '../errors.ts';
import { HealthCheckResponse_ServingStatus, HealthService } from '../proto/gen/health.ts';
import { statusOf } from './grpc-status.ts';
import type { Log } from './log.ts';

/** What a handler knows about its call. */
export type CallContext = {
  /** Aborted, with a CancelledError, when the caller goes away or the server stops hard. */
  signal: AbortSignal;
};

export type GrpcService = { definition: ServiceDefinition; implementation: UntypedServiceImplementation };

export type GrpcServerOptions = {
  services: GrpcService[];
  address: { socket: string } | { host: string; port: number };
  /** Plain text when left out. */
  credentials?: ServerCredentials;
  log: Log;
};

export type GrpcServer = {
  /** Where a client dials: `unix:<path>` or `<host>:<port>`. */
  address: string;
  port: number | undefined;
  /**
   * Takes no new calls and waits for running ones; after the grace period aborts them and waits a little for their
   * handlers to clean up. Never throws, and may be called again.
   */
  stop(graceMs: number): Promise<void>;
};

/** A Cluster document with all its status stays far below; grpc-js would refuse above 4 MiB. */
const MAX_RECEIVE_BYTES = 16 * 1024 * 1024;

/** How long aborted handlers may clean up (abort uploads, end the backup mode) before stop returns anyway. */
const CLEAN_UP_MS = 5_000;

/** `sun_path` of Linux holds 108 bytes, the last of them zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Starts a server. The folder of a socket is made and a socket left by an earlier process is removed. Throws
 * InvalidInputError for a socket path that cannot work, PreconditionError when the address cannot be bound.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const calls = new Set<object>();
  const waiters = new Set<() => void>();
  const server = new Server({ 'grpc.max_receive_message_length': MAX_RECEIVE_BYTES });
  for (const { definition, implementation } of options.services) {
    server.addService(definition, counted(implementation));
  }
  const target = await prepareAddress(options.address);
  const port = await bind(server, target, options.credentials ?? ServerCredentials.createInsecure());
  const address = 'socket' in options.address ? target : target.replace(/\d+$/, String(port));
  options.log.info({ address }, 'gRPC server listens');

  let stopped: Promise<void> | undefined;
  return {
    address,
    port: 'socket' in options.address ? undefined : port,
    stop(graceMs) {
      stopped ??= stop(graceMs);
      return stopped;
    },
  };

  /** Calls whose handlers have not answered; grpc-js forgets a call as soon as its caller goes away. */
  function counted(implementation: UntypedServiceImplementation): UntypedServiceImplementation {
    return Object.fromEntries(
      Object.entries(implementation).map(([name, handler]) => {
        const frame: handleUnaryCall<unknown, unknown> = (call, callback) => {
          calls.add(call);
          (handler as handleUnaryCall<unknown, unknown>)(call, (...answer) => {
            calls.delete(call);
            for (const wake of waiters) wake();
            callback(...answer);
          });
        };
        return [name, frame];
      }),
    );
  }

  async function stop(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    const inTime = await within(graceMs, Promise.all([closed, idle()]));
    if (!inTime) {
      options.log.warn({ calls: calls.size, graceMs }, 'calls still running after the grace period are aborted');
      server.forceShutdown();
      await within(CLEAN_UP_MS, idle());
    }
    options.log.info({ address }, 'gRPC server stopped');
  }

  async function idle(): Promise<void> {
    while (calls.size > 0) {
      await new Promise<void>((resolve) => {
        waiters.add(resolve);
      });
      waiters.clear();
    }
  }
}

/**
 * Frames a handler: gives it an AbortSignal, turns what it throws into a gRPC status by one table, and logs that once.
 * The caller reads the error's message.
 */
export function unary<Q, R>(
  log: Log,
  handler: (request: Q, context: CallContext) => Promise<R> | R,
): handleUnaryCall<Q, R> {
  return async (call, callback) => {
    const abort = new AbortController();
    call.on('cancelled', () => abort.abort(new CancelledError('the caller went away')));
    if (call.cancelled) abort.abort(new CancelledError('the caller went away'));
    try {
      callback(null, await handler(call.request, { signal: abort.signal }));
    } catch (thrown) {
      const failure = abort.signal.aborted ? statusOf(abort.signal.reason) : statusOf(thrown);
      report(log, call, failure, thrown);
      callback({ code: failure.code, details: failure.details });
    }
  };
}

/** Answers a method that the protocol has and that we do not offer. */
export function unimplemented<Q, R>(method: string): handleUnaryCall<Q, R> {
  return (_call, callback) => callback({ code: status.UNIMPLEMENTED, details: `${method} is not offered` });
}

/** `grpc.health.v1`: always serving, because an unreachable store must not take the socket away. */
export function healthService(): GrpcService {
  return {
    definition: HealthService,
    implementation: {
      check: (_call: unknown, callback: (error: null, answer: unknown) => void) =>
        callback(null, { status: HealthCheckResponse_ServingStatus.SERVING }),
    },
  };
}

function report<Q, R>(
  log: Log,
  call: ServerUnaryCall<Q, R>,
  failure: ReturnType<typeof statusOf>,
  thrown: unknown,
): void {
  const facts = { call: call.getPath(), code: status[failure.code] };
  if (failure.level === 'error') log.error({ ...facts, err: thrown }, failure.details);
  else log[failure.level](facts, failure.details);
}

async function prepareAddress(address: GrpcServerOptions['address']): Promise<string> {
  if (!('socket' in address)) {
    return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  }
  const path = address.socket;
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    const advice = `the path has ${bytes} bytes, a unix socket allows ${MAX_SOCKET_PATH_BYTES}: use a shorter folder`;
    throw new InvalidInputError('socket', path, advice);
  }
  await mkdir(dirname(path), { recursive: true });
  await removeStaleSocket(path);
  return `unix:${path}`;
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw new InvalidInputError('socket', path, 'something that is no socket is there: remove it');
  await unlink(path);
}

function bind(server: Server, target: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(new PreconditionError(`cannot listen on ${target}: ${error.message}`, { cause: error }));
    });
  });
}

/** Whether the work was done before the limit. */
async function within(limitMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limitMs);
  });
  try {
    return await Promise.race([work.then(() => true), limit]);
  } finally {
    clearTimeout(timer);
  }
}
