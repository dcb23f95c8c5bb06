import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PLUGIN_NAME } from '../api/names.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthService,
  HealthCheckResponse_ServingStatus as Serving,
} from '../api/proto/gen/health.ts';
import { healthService, startGrpcServer, unary } from '../api/wire/grpc.ts';
import { silentLog } from '../api/wire/log.ts';
import { checkHealth } from './health-check.ts';

async function pluginsFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-health-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

/** Checks a server whose health service gives this answer. */
async function check(t: TestContext, answer: () => Promise<HealthCheckResponse>, deadlineMs?: number) {
  const folder = await pluginsFolder(t);
  const implementation = { check: unary<HealthCheckRequest, HealthCheckResponse>(silentLog(), answer) };
  const server = await startGrpcServer({
    services: [{ definition: HealthService, implementation }],
    address: { socket: join(folder, PLUGIN_NAME) },
    log: silentLog(),
  });
  t.after(() => server.stop(0));
  return checkHealth(['unix'], { CELLAR_PLUGINS_FOLDER: folder }, deadlineMs);
}

test('our own health service passes the check', async (t) => {
  const folder = await pluginsFolder(t);
  const address = { socket: join(folder, PLUGIN_NAME) };
  const server = await startGrpcServer({ services: [healthService()], address, log: silentLog() });
  t.after(() => server.stop(0));
  assert.equal((await checkHealth(['unix'], { CELLAR_PLUGINS_FOLDER: folder })).exitStatus, 0);
});

for (const [status, exitStatus] of [
  ['SERVING', 0],
  ['UNKNOWN', 2],
  ['NOT_SERVING', 3],
  ['SERVICE_UNKNOWN', 125],
] as const) {
  test(`${status} is exit status ${exitStatus}`, async (t) => {
    assert.equal((await check(t, async () => ({ status: Serving[status] }))).exitStatus, exitStatus);
  });
}

test('a failing call is exit status 1', async (t) => {
  const verdict = await check(t, () => Promise.reject(new Error('sick')));
  assert.equal(verdict.exitStatus, 1);
  assert.match(verdict.sentence, /sick/);
});

test('no socket is exit status 1', async (t) => {
  const verdict = await checkHealth(['unix'], { CELLAR_PLUGINS_FOLDER: await pluginsFolder(t) });
  assert.equal(verdict.exitStatus, 1);
  assert.match(verdict.sentence, /ENOENT/);
});

test('a server that never answers is exit status 1', async (t) => {
  const folder = await pluginsFolder(t);
  const open = new Set<Socket>();
  const mute = createServer((socket) => open.add(socket)).listen(join(folder, PLUGIN_NAME));
  await once(mute, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    mute.close();
  });
  const verdict = await checkHealth(['unix'], { CELLAR_PLUGINS_FOLDER: folder }, 50);
  assert.equal(verdict.exitStatus, 1);
  assert.match(verdict.sentence, /DEADLINE_EXCEEDED/);
});

test('anything but `healthcheck unix` is exit status 125 with the usage', async () => {
  for (const args of [[], ['tcp'], ['unix', 'more']]) {
    const verdict = await checkHealth(args, {});
    assert.equal(verdict.exitStatus, 125);
    assert.match(verdict.sentence, /^usage: healthcheck unix/);
  }
});
