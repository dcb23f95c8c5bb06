// The sidecar as a child process, through the entry point of the image. No API server and no store is there: starting,
// the handshake of the manager and stopping need neither.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { PLUGIN_NAME } from '../api/names.ts';
import { BackupClient } from '../api/proto/gen/backup.ts';
import {
  type GetPluginCapabilitiesResponse,
  type GetPluginMetadataResponse,
  IdentityClient,
  PluginCapability_Service_Type as Service,
} from '../api/proto/gen/identity.ts';
import { type DefineMetricsResult, MetricsClient } from '../api/proto/gen/metrics.ts';
import { RestoreJobHooksClient } from '../api/proto/gen/restore_job.ts';
import { WALClient } from '../api/proto/gen/wal.ts';
import release from '../package.json' with { type: 'json' };

const ENTRY = join(dirname(import.meta.dirname), 'main.ts');
const insecure = credentials.createInsecure();

type Settings = Record<string, string>;

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-main-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The environment of a container in a folder of its own. */
function environment(folder: string, changes: Settings = {}): Settings {
  return {
    PATH: process.env.PATH ?? '',
    NAMESPACE: 'db',
    CLUSTER_NAME: 'pg',
    POD_NAME: 'pg-1',
    SPOOL_DIRECTORY: join(folder, 'spool'),
    PGDATA: join(folder, 'pgdata'),
    TMPDIR: join(folder, 'controller', 'tmp'),
    CELLAR_PLUGINS_FOLDER: join(folder, 'plugins'),
    CELLAR_CERTIFICATES_FOLDER: join(folder, 'certificates'),
    CELLAR_SERVICE_ACCOUNT_FOLDER: join(folder, 'service-account'),
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: '1',
    ...changes,
  };
}

function start(t: TestContext, args: string[], env: Settings, nodeArgs: string[] = []): ChildProcess {
  const child = spawn(process.execPath, [...nodeArgs, ENTRY, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Waits until the log says that the sidecar is up; gives the lines so far. */
async function untilStarted(child: ChildProcess): Promise<string[]> {
  assert.ok(child.stderr !== null);
  const lines: string[] = [];
  const reader = createInterface({ input: child.stderr });
  for await (const line of reader) {
    lines.push(line);
    if (line.includes('sidecar started')) {
      child.stderr.resume();
      return lines;
    }
  }
  assert.fail(`the sidecar ended early: ${lines.join('\n')}`);
}

async function run(
  t: TestContext,
  args: string[],
  env: Settings,
): Promise<{ exitStatus: number | null; errors: string }> {
  const child = start(t, args, env);
  const chunks: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => chunks.push(text));
  const [exitStatus] = await once(child, 'close');
  return { exitStatus, errors: chunks.join('') };
}

/** Probes as the kubelet does, up to 30 times: one probe has 4 s, which a busy machine may not be able to keep. */
async function untilHealthy(t: TestContext, env: Settings): Promise<void> {
  const errors: string[] = [];
  for (let probe = 1; probe <= 30; probe += 1) {
    const verdict = await run(t, ['healthcheck', 'unix'], env);
    if (verdict.exitStatus === 0) return assert.equal(verdict.errors, '');
    errors.push(verdict.errors);
  }
  assert.fail(`never healthy: ${errors.join('')}`);
}

async function terminate(child: ChildProcess): Promise<unknown[]> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  return exited;
}

/** One call as a promise. */
function ask<R>(begin: (callback: (error: ServiceError | null, answer: R) => void) => void): Promise<R> {
  return new Promise((resolve, reject) => begin((error, answer) => (error === null ? resolve(answer) : reject(error))));
}

const clusterOnly = { clusterDefinition: Buffer.from('{}') };

function dial(t: TestContext, folder: string) {
  const address = `unix:${join(folder, 'plugins', PLUGIN_NAME)}`;
  const clients = {
    identity: new IdentityClient(address, insecure),
    wal: new WALClient(address, insecure),
    backup: new BackupClient(address, insecure),
    metrics: new MetricsClient(address, insecure),
    restoreJob: new RestoreJobHooksClient(address, insecure),
  };
  t.after(() => {
    for (const client of Object.values(clients)) client.close();
  });
  return clients;
}

/** What the manager asks at every connection (cnpg-i-contract.md §2.3). */
async function greet(
  clients: ReturnType<typeof dial>,
): Promise<{ metadata: GetPluginMetadataResponse; services: unknown[] }> {
  const metadata = await ask<GetPluginMetadataResponse>((done) => clients.identity.getPluginMetadata({}, done));
  const found = await ask<GetPluginCapabilitiesResponse>((done) => clients.identity.getPluginCapabilities({}, done));
  assert.deepEqual(await ask((done) => clients.identity.probe({}, done)), { ready: true });
  return { metadata, services: found.capabilities.map(({ service }) => service?.type) };
}

test('the instance sidecar starts alone, shakes hands, is healthy, and exits 0 on SIGTERM', async (t) => {
  const folder = await temporaryFolder(t);
  const env = environment(folder);
  const child = start(t, ['instance', '--log-level=debug', '--pprof-server', ':6060'], env);
  const lines = await untilStarted(child);
  assert.equal(lines.filter((line) => line.includes('pprof')).length, 1);
  assert.ok(existsSync(env.TMPDIR ?? ''), 'TMPDIR is made');

  const clients = dial(t, folder);
  const { metadata, services } = await greet(clients);
  assert.deepEqual([metadata.name, metadata.version], [PLUGIN_NAME, release.version]);
  assert.deepEqual(services, [Service.TYPE_WAL_SERVICE, Service.TYPE_BACKUP_SERVICE, Service.TYPE_METRICS]);
  const { metrics } = await ask<DefineMetricsResult>((done) => clients.metrics.define(clusterOnly, done));
  assert.ok(metrics.some(({ fqName }) => fqName === 'cellar_wal_archived_files_total'));
  const walCapabilities = await ask((done) => clients.wal.getCapabilities({}, done));
  assert.deepEqual(walCapabilities, { capabilities: [{ rpc: { type: 1 } }, { rpc: { type: 2 } }] });
  assert.deepEqual(await ask((done) => clients.backup.getCapabilities({}, done)), {
    capabilities: [{ rpc: { type: 1 } }],
  });
  await untilHealthy(t, env);

  assert.deepEqual(await terminate(child), [0, null]);
  assert.equal(existsSync(join(folder, 'plugins', PLUGIN_NAME)), false);
  assert.equal((await run(t, ['healthcheck', 'unix'], env)).exitStatus, 1);
});

test('a call that needs the API server fails with a reason, and the sidecar goes on serving', async (t) => {
  const folder = await temporaryFolder(t);
  const child = start(t, ['instance'], environment(folder));
  await untilStarted(child);
  const { wal, identity } = dial(t, folder);
  const cluster = {
    metadata: { name: 'pg', namespace: 'db' },
    spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'store' } }] },
    status: { currentPrimary: 'pg-1' },
  };
  const request = {
    clusterDefinition: Buffer.from(JSON.stringify(cluster)),
    sourceWalName: '000000010000000000000001',
    destinationFileName: join(folder, 'pgdata', 'pg_wal', 'RECOVERYXLOG'),
    parameters: {},
    mode: 1,
  } as const;
  await assert.rejects(
    ask((done) => wal.restore(request, done)),
    { code: status.FAILED_PRECONDITION, details: /no access to the Kubernetes API.*kube-api-access/ },
  );
  assert.deepEqual(await ask((done) => identity.probe({}, done)), { ready: true });
  assert.deepEqual(await terminate(child), [0, null]);
});

test('the sidecar of a recovery Job serves restores and WAL, without a Cluster name', async (t) => {
  const folder = await temporaryFolder(t);
  const { CLUSTER_NAME: _, ...env } = environment(folder);
  const child = start(t, ['restore'], env);
  await untilStarted(child);
  const clients = dial(t, folder);
  const { services } = await greet(clients);
  assert.deepEqual(services, [Service.TYPE_RESTORE_JOB, Service.TYPE_WAL_SERVICE]);
  assert.deepEqual(await ask((done) => clients.restoreJob.getCapabilities({}, done)), { capabilities: [{ kind: 1 }] });
  await assert.rejects(
    ask((done) => clients.backup.getCapabilities({}, done)),
    { code: status.UNIMPLEMENTED },
  );
  assert.deepEqual(await terminate(child), [0, null]);
});

test('a socket left by a killed sidecar is replaced', async (t) => {
  const folder = await temporaryFolder(t);
  const env = environment(folder);
  const killed = start(t, ['instance'], env);
  await untilStarted(killed);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  assert.ok(existsSync(join(folder, 'plugins', PLUGIN_NAME)), 'the stale socket is there');

  const child = start(t, ['instance'], env);
  await untilStarted(child);
  await greet(dial(t, folder));
  assert.deepEqual(await terminate(child), [0, null]);
});

test('the sidecar loads neither the generated Kubernetes client nor the webhook', async (t) => {
  const folder = await temporaryFolder(t);
  const record = join(folder, 'modules');
  const hooks = `import { registerHooks } from 'node:module';
    import { appendFileSync } from 'node:fs';
    registerHooks({ resolve(specifier, context, next) {
      const found = next(specifier, context);
      appendFileSync(${JSON.stringify(record)}, found.url + '\\n');
      return found;
    } });`;
  const preload = `data:text/javascript,${encodeURIComponent(hooks)}`;
  const child = start(t, ['instance'], environment(folder), ['--import', preload]);
  await untilStarted(child);
  const loaded = await readFile(record, 'utf8');
  assert.match(loaded, /node_modules\/@grpc\/grpc-js/, 'the record is kept');
  assert.doesNotMatch(loaded, /@kubernetes\/client-node|node_modules\/fastify|\/injector\/|\/webhook\//);
  assert.deepEqual(await terminate(child), [0, null]);
});

for (const missing of ['NAMESPACE', 'CLUSTER_NAME', 'POD_NAME', 'SPOOL_DIRECTORY']) {
  test(`without ${missing} the instance sidecar ends with one line that names it`, async (t) => {
    const folder = await temporaryFolder(t);
    const { exitStatus, errors } = await run(t, ['instance'], environment(folder, { [missing]: '' }));
    assert.equal(exitStatus, 1);
    assert.match(errors, new RegExp(`^cellar: ${missing}: .*\\n$`));
    assert.equal(existsSync(join(folder, 'plugins')), false, 'nothing listened');
  });
}

test('an unknown flag, level or port ends the sidecar with one line that names it', async (t) => {
  const folder = await temporaryFolder(t);
  const flag = await run(t, ['instance', '--turbo'], environment(folder));
  assert.equal(flag.exitStatus, 1);
  assert.match(
    flag.errors,
    /^cellar: arguments: found "--turbo": Unknown option '--turbo'; known flags are --log-level/,
  );
  const level = await run(t, ['instance', '--log-level', 'loud'], environment(folder));
  assert.match(level.errors, /^cellar: --log-level: found "loud": use one of error, warning/);
  const port = await run(t, ['instance'], environment(folder, { PGPORT: 'five' }));
  assert.match(port.errors, /^cellar: PGPORT: found "five": use a whole number/);
});

test('an unknown command shows the usage and exits 2', async (t) => {
  for (const args of [[], ['instanz']]) {
    const { exitStatus, errors } = await run(t, args, environment(await temporaryFolder(t)));
    assert.equal(exitStatus, 2);
    assert.match(errors, /usage: cellar COMMAND/);
  }
});
