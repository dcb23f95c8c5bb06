import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ClientUnaryCall, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { NotFoundError, PreconditionError } from '../errors.ts';
import { HealthCheckResponse_ServingStatus, HealthClient } from '../proto/gen/health.ts';
import { type WALArchiveRequest, WALClient, WALService } from '../proto/gen/wal.ts';
import { type CallContext, type GrpcServerOptions, healthService, startGrpcServer, unary } from './grpc.ts';
import { createLog, type Log, silentLog } from './log.ts';

type Archive = (request: WALArchiveRequest, context: CallContext) => Promise<object> | object;

/** Serves one handler as WAL.Archive, on a socket unless told otherwise, and gives a client of it. */
async function serve(
  t: TestContext,
  handler: Archive,
  options: { log?: Log; address?: GrpcServerOptions['address'] } = {},
) {
  const log = options.log ?? silentLog();
  const address = options.address ?? { socket: join(await temporaryFolder(t), 'plugins', 'test.sock') };
  const service = { definition: WALService, implementation: { archive: unary(log, handler) } };
  const server = await startGrpcServer({ services: [service, healthService()], address, log: silentLog() });
  t.after(() => server.stop(0));
  const client = new WALClient(server.address, credentials.createInsecure());
  t.after(() => client.close());
  return { server, client };
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-grpc-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const request = (changes: Partial<WALArchiveRequest> = {}): WALArchiveRequest => ({
  clusterDefinition: Buffer.from('{}'),
  sourceFileName: '/pg_wal/x',
  parameters: {},
  ...changes,
});

/** Calls WAL.Archive; resolves with the error, or undefined when it succeeded. */
function call(client: WALClient, message = request()): { sent: ClientUnaryCall; answer: Promise<ServiceError | null> } {
  const { promise, resolve } = Promise.withResolvers<ServiceError | null>();
  return { sent: client.archive(message, (error) => resolve(error)), answer: promise };
}

test('serves on a socket in a folder that it makes, and removes the socket when it stops', async (t) => {
  const folder = await temporaryFolder(t);
  const socket = join(folder, 'a', 'b', 'test.sock');
  const { server, client } = await serve(t, () => ({}), { address: { socket } });
  assert.equal(await call(client).answer, null);
  assert.deepEqual([server.address, server.port], [`unix:${socket}`, undefined]);
  await server.stop(1000);
  assert.equal(existsSync(socket), false);
});

test('serves on a TCP port and tells which one it got', async (t) => {
  const { server, client } = await serve(t, () => ({}), { address: { host: '127.0.0.1', port: 0 } });
  assert.ok(server.port !== undefined && server.port > 0);
  assert.equal(server.address, `127.0.0.1:${server.port}`);
  assert.equal(await call(client).answer, null);
});

test('refuses a port that is taken, naming it', async (t) => {
  const blocker = createServer().listen(0, '127.0.0.1');
  await once(blocker, 'listening');
  t.after(() => blocker.close());
  const address = blocker.address();
  assert.ok(typeof address === 'object' && address !== null);
  const starting = serve(t, () => ({}), { address: { host: '127.0.0.1', port: address.port } });
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof PreconditionError);
    assert.match(error.message, new RegExp(`cannot listen on 127.0.0.1:${address.port}.*EADDRINUSE`));
    return true;
  });
});

test('replaces a socket that a dead process has left', async (t) => {
  const socket = join(await temporaryFolder(t), 'test.sock');
  await leaveStaleSocket(socket);
  const { client } = await serve(t, () => ({}), { address: { socket } });
  assert.equal(await call(client).answer, null);
});

/** Node removes the file of a socket that it closes, so a child process is killed while it listens. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'))`;
  const child = spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(existsSync(path));
}

test('does not remove a file that is no socket', async (t) => {
  const socket = join(await temporaryFolder(t), 'precious');
  await writeFile(socket, 'data');
  await assert.rejects(
    serve(t, () => ({}), { address: { socket } }),
    /something that is no socket is there/,
  );
  assert.ok(existsSync(socket));
});

test('refuses a socket path over 107 bytes and takes one of 107', async (t) => {
  const folder = await temporaryFolder(t);
  const longest = join(folder, 'x'.repeat(107 - Buffer.byteLength(folder) - 1));
  const { client } = await serve(t, () => ({}), { address: { socket: longest } });
  assert.equal(await call(client).answer, null);
  await assert.rejects(
    serve(t, () => ({}), { address: { socket: `${longest}y` } }),
    { name: 'InvalidInputError', message: /the path has 108 bytes, a unix socket allows 107/ },
  );
});

test('receives messages above 4 MiB and refuses those above 16 MiB', async (t) => {
  const sizes: number[] = [];
  const { client } = await serve(t, ({ clusterDefinition }) => {
    sizes.push(clusterDefinition.length);
    return {};
  });
  const big = 15 * 1024 * 1024;
  assert.equal(await call(client, request({ clusterDefinition: Buffer.alloc(big) })).answer, null);
  const refused = await call(client, request({ clusterDefinition: Buffer.alloc(big + 2 * 1024 * 1024) })).answer;
  assert.equal(refused?.code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(sizes, [big]);
});

test('answers a failure with its code and its message and logs it once', async (t) => {
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => lines.push(line) } });
  let failure: Error = new PreconditionError('no ObjectStore', { hint: 'create it' });
  const { client } = await serve(t, () => Promise.reject(failure), { log });

  const refused = await call(client).answer;
  assert.deepEqual([refused?.code, refused?.details], [status.FAILED_PRECONDITION, 'no ObjectStore; create it']);
  failure = new NotFoundError('00000002.history is not in the archive');
  assert.equal((await call(client).answer)?.code, status.NOT_FOUND);
  failure = new TypeError('a bug');
  assert.deepEqual((await call(client).answer)?.details, 'a bug');

  const records = lines.map((line): Record<string, unknown> => JSON.parse(line));
  assert.deepEqual(
    records.map(({ level, code, call: path, msg }) => ({ level, code, path, msg })),
    [
      { level: 'warning', code: 'FAILED_PRECONDITION', msg: 'no ObjectStore; create it' },
      { level: 'info', code: 'NOT_FOUND', msg: '00000002.history is not in the archive' },
      { level: 'error', code: 'INTERNAL', msg: 'a bug' },
    ].map((record) => ({ ...record, path: '/cnpgi.wal.v1.WAL/Archive' })),
  );
  assert.match(JSON.stringify(records[2]?.err), /grpc\.test\.ts/, 'the stack of a bug is logged');
});

test('a handler that throws at once is a failure like any other', async (t) => {
  const { client } = await serve(t, () => {
    throw new PreconditionError('not yet');
  });
  assert.equal((await call(client).answer)?.code, status.FAILED_PRECONDITION);
});

test('messages keep their characters and stay one answer, whatever they hold', async (t) => {
  const message = 'größer:\n"x" 100% – 漢字';
  const { client } = await serve(t, () => Promise.reject(new PreconditionError(message)));
  assert.equal((await call(client).answer)?.details, message);
});

test('tells the handler when the caller goes away', async (t) => {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<unknown>();
  const { client } = await serve(t, (_request, { signal }) => {
    signal.addEventListener('abort', () => aborted.resolve(signal.reason));
    started.resolve();
    return aborted.promise.then(() => ({}));
  });
  const { sent, answer } = call(client);
  await started.promise;
  sent.cancel();
  assert.match(String(await aborted.promise), /CancelledError: the caller went away/);
  assert.equal((await answer)?.code, status.CANCELLED);
});

test('stop lets a running call finish and takes no new one', async (t) => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<object>();
  const { server, client } = await serve(t, () => {
    started.resolve();
    return finish.promise;
  });
  const running = call(client);
  await started.promise;
  const stopping = server.stop(60_000);
  const late = new WALClient(server.address, credentials.createInsecure());
  t.after(() => late.close());
  assert.equal((await call(late).answer)?.code, status.UNAVAILABLE);
  finish.resolve({});
  assert.equal(await running.answer, null);
  await stopping;
});

test('stop aborts a call that outlives the grace period and waits for its clean-up', async (t) => {
  const started = Promise.withResolvers<void>();
  const events: string[] = [];
  const { server, client } = await serve(t, async (_request, { signal }) => {
    started.resolve();
    await once(signal, 'abort');
    events.push('aborted');
    await new Promise(setImmediate);
    events.push('cleaned up');
    throw signal.reason;
  });
  const running = call(client);
  await started.promise;
  await server.stop(1);
  assert.deepEqual(events, ['aborted', 'cleaned up']);
  assert.ok((await running.answer)?.code !== undefined);
});

test('stopping twice is one stop', async (t) => {
  const { server } = await serve(t, () => ({}));
  assert.equal(server.stop(1000), server.stop(1000));
  await server.stop(1000);
});

test('the health service says that it serves', async (t) => {
  const { server } = await serve(t, () => ({}));
  const client = new HealthClient(server.address, credentials.createInsecure());
  t.after(() => client.close());
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  client.check({ service: '' }, (error, answer) => (error === null ? resolve(answer.status) : reject(error)));
  assert.equal(await promise, HealthCheckResponse_ServingStatus.SERVING);
});
