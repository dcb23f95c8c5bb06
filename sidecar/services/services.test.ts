// The services over a real socket with the generated clients; what they call is a fake of our own port.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { NotFoundError } from '../../api/errors.ts';
import { BackupClient, type BackupRequest, type BackupResult } from '../../api/proto/gen/backup.ts';
import {
  type GetPluginCapabilitiesResponse,
  type GetPluginMetadataResponse,
  IdentityClient,
  PluginCapability_Service_Type as Service,
} from '../../api/proto/gen/identity.ts';
import {
  type CollectMetricsResult,
  type DefineMetricsResult,
  type MetricsCapabilitiesResult,
  MetricsClient,
} from '../../api/proto/gen/metrics.ts';
import { RestoreJobHooksClient, type RestoreRequest, type RestoreResponse } from '../../api/proto/gen/restore_job.ts';
import {
  WALRestoreRequest_Mode as Mode,
  type WALArchiveRequest,
  WALClient,
  type WALRestoreRequest,
} from '../../api/proto/gen/wal.ts';
import { type GrpcService, startGrpcServer } from '../../api/wire/grpc.ts';
import { silentLog } from '../../api/wire/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { type BackupTaker, backupService, type FinishedBackup } from './backup.ts';
import { identityService, type SidecarKind } from './identity.ts';
import { metricsService } from './metrics.ts';
import { type Restorer, restoreJobService } from './restore-job.ts';
import { type WalArchiver, type WalRestorer, walService } from './wal.ts';

const log = silentLog();
const CLUSTER = { metadata: { name: 'pg', namespace: 'db' }, spec: { plugins: [] } };
const clusterDefinition = Buffer.from(JSON.stringify(CLUSTER));

async function serve(t: TestContext, service: GrpcService): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-services-'));
  t.after(() => rm(folder, { recursive: true }));
  const server = await startGrpcServer({ services: [service], address: { socket: join(folder, 's') }, log });
  t.after(() => server.stop(0));
  return server.address;
}

function closing<C extends { close(): void }>(t: TestContext, client: C): C {
  t.after(() => client.close());
  return client;
}

/** One call as a promise. */
function ask<R>(start: (callback: (error: ServiceError | null, answer: R) => void) => void): Promise<R> {
  return new Promise((resolve, reject) => start((error, answer) => (error === null ? resolve(answer) : reject(error))));
}

const insecure = credentials.createInsecure();

test('identity says who the plugin is, the same for both kinds', async (t) => {
  for (const kind of ['instance', 'restore'] satisfies SidecarKind[]) {
    const address = await serve(t, identityService(kind, { version: '1.2.3', log }));
    const client = closing(t, new IdentityClient(address, insecure));
    const metadata = await ask<GetPluginMetadataResponse>((done) => client.getPluginMetadata({}, done));
    const { name, version, displayName, license, vendor, maturity } = metadata;
    assert.deepEqual(
      { name, version, displayName, license, vendor, maturity },
      {
        name: 'barman-cloud.cloudnative-pg.io',
        version: '1.2.3',
        displayName: 'BarmanCloudInstance',
        license: 'Apache-2.0',
        vendor: 'Cellar',
        maturity: 'alpha',
      },
    );
    assert.ok(metadata.description !== '' && metadata.licenseUrl !== '', 'required fields are filled');
    assert.deepEqual(await ask((done) => client.probe({}, done)), { ready: true });
  }
});

const CAPABILITIES: Record<SidecarKind, Service[]> = {
  instance: [Service.TYPE_WAL_SERVICE, Service.TYPE_BACKUP_SERVICE, Service.TYPE_METRICS],
  restore: [Service.TYPE_RESTORE_JOB, Service.TYPE_WAL_SERVICE],
};

for (const kind of ['instance', 'restore'] satisfies SidecarKind[]) {
  test(`identity announces what the ${kind} sidecar serves`, async (t) => {
    const address = await serve(t, identityService(kind, { version: '1', log }));
    const client = closing(t, new IdentityClient(address, insecure));
    const found = await ask<GetPluginCapabilitiesResponse>((done) => client.getPluginCapabilities({}, done));
    assert.deepEqual(
      found.capabilities.map(({ service }) => service?.type),
      CAPABILITIES[kind],
    );
  });
}

/** A WAL service whose calls are written down without their signal. */
async function serveWal(t: TestContext, failure?: Error) {
  const calls: unknown[] = [];
  const note = async ({ signal, ...request }: { signal: AbortSignal }): Promise<void> => {
    calls.push({ ...request, aborted: signal.aborted });
    if (failure !== undefined) throw failure;
  };
  const archiver: WalArchiver = { archive: note };
  const restorer: WalRestorer = { restore: note };
  const client = closing(t, new WALClient(await serve(t, walService({ archiver, restorer, log })), insecure));
  const archive = (changes: Partial<WALArchiveRequest> = {}) =>
    ask((done) => client.archive({ clusterDefinition, sourceFileName: '/wal/1', parameters: {}, ...changes }, done));
  const restore = (changes: Partial<WALRestoreRequest> = {}) =>
    ask((done) =>
      client.restore(
        {
          clusterDefinition,
          sourceWalName: '1',
          destinationFileName: '/wal/R',
          parameters: {},
          mode: Mode.MODE_UNSPECIFIED,
          ...changes,
        },
        done,
      ),
    );
  return { calls, client, archive, restore };
}

test('archive hands over the file and whether, if at all, the check was asked for', async (t) => {
  const { calls, archive } = await serveWal(t);
  const expected = { cluster: CLUSTER, sourceFile: '/wal/1', aborted: false };
  for (const checkEmptyArchive of [undefined, false, true]) {
    assert.deepEqual(await archive({ checkEmptyWalArchive: checkEmptyArchive }), {});
    assert.deepEqual(calls.pop(), { ...expected, checkEmptyArchive });
  }
});

test('restore hands over name, destination and whether pg_rewind asks', async (t) => {
  const { calls, restore } = await serveWal(t);
  const expected = { cluster: CLUSTER, walName: '1', destination: '/wal/R', aborted: false };
  for (const [mode, rewind] of [
    [Mode.MODE_UNSPECIFIED, false],
    [Mode.MODE_RECOVERY, false],
    [Mode.MODE_REWIND, true],
  ] as const) {
    assert.deepEqual(await restore({ mode }), {});
    assert.deepEqual(calls.pop(), { ...expected, rewind });
  }
});

test('an absent file is answered as NOT_FOUND, a broken document as INVALID_ARGUMENT without any call', async (t) => {
  const { calls, archive, restore } = await serveWal(t, new NotFoundError('1 is not in the archive'));
  await assert.rejects(restore(), { code: status.NOT_FOUND, details: '1 is not in the archive' });
  calls.length = 0;
  const broken = { clusterDefinition: Buffer.from('[]') };
  await assert.rejects(restore(broken), { code: status.INVALID_ARGUMENT });
  await assert.rejects(archive(broken), { code: status.INVALID_ARGUMENT });
  assert.deepEqual(calls, []);
});

test('the WAL service announces archive and restore and refuses the rest as not offered', async (t) => {
  const { client } = await serveWal(t);
  assert.deepEqual(await ask((done) => client.getCapabilities({}, done)), {
    capabilities: [{ rpc: { type: 1 } }, { rpc: { type: 2 } }],
  });
  await assert.rejects(
    ask((done) => client.status({ clusterDefinition }, done)),
    { code: status.UNIMPLEMENTED, details: 'WAL.Status is not offered' },
  );
  await assert.rejects(
    ask((done) => client.setFirstRequired({ clusterDefinition, firstRequiredWal: '1' }, done)),
    { code: status.UNIMPLEMENTED },
  );
});

const TAKEN: FinishedBackup = {
  id: '20261123T101112',
  name: 'backup-20261123101112',
  info: {
    beginWal: '000000010000000000000002',
    endWal: '000000010000000000000003',
    beginXlog: '0/2000028',
    endXlog: '0/3000050',
  },
  backupLabel: 'START WAL LOCATION: 0/2000028\n',
  tablespaceMap: '16384 /tbs\n',
  metadata: { timeline: '1', version: '1', name: 'n', displayName: 'd', clusterUID: 'u', pluginName: 'p' },
  startedAt: new Date('2026-11-23T10:11:12.900Z'),
  stoppedAt: new Date('2026-11-23T10:12:00.100Z'),
};

test('a backup carries everything that the manager stores in the status of the Backup', async (t) => {
  const backup = { metadata: { name: 'b1' }, spec: { cluster: { name: 'pg' } } };
  const calls: unknown[] = [];
  const taker: BackupTaker = {
    async take({ signal, ...request }) {
      calls.push({ ...request, aborted: signal.aborted });
      return TAKEN;
    },
  };
  const address = await serve(t, backupService({ taker, instanceName: 'pg-1', log }));
  const client = closing(t, new BackupClient(address, insecure));
  const request: BackupRequest = {
    clusterDefinition,
    backupDefinition: Buffer.from(JSON.stringify(backup)),
    parameters: { a: 'b' },
  };
  const result = await ask<BackupResult>((done) => client.backup(request, done));
  assert.deepEqual(calls, [{ cluster: CLUSTER, backup, parameters: { a: 'b' }, aborted: false }]);
  assert.deepEqual(result, {
    backupId: '20261123T101112',
    backupName: 'backup-20261123101112',
    startedAt: 1795428672,
    stoppedAt: 1795428720,
    beginWal: '000000010000000000000002',
    endWal: '000000010000000000000003',
    beginLsn: '0/2000028',
    endLsn: '0/3000050',
    backupLabelFile: Buffer.from(TAKEN.backupLabel),
    tablespaceMapFile: Buffer.from(TAKEN.tablespaceMap),
    instanceId: 'pg-1',
    online: true,
    metadata: TAKEN.metadata,
  });
  assert.deepEqual(await ask((done) => client.getCapabilities({}, done)), { capabilities: [{ rpc: { type: 1 } }] });
  await assert.rejects(
    ask((done) => client.backup({ ...request, backupDefinition: Buffer.from('{}') }, done)),
    { code: status.INVALID_ARGUMENT, details: /^backup_definition: metadata\.name: missing/ },
  );
});

test('the recovery Job gets configuration and environment back', async (t) => {
  const calls: unknown[] = [];
  const restorer: Restorer = {
    async restore({ signal, ...request }) {
      calls.push({ ...request, aborted: signal.aborted });
      return { config: "restore_command = 'x'\n", env: ['A=b'] };
    },
  };
  const client = closing(t, new RestoreJobHooksClient(await serve(t, restoreJobService({ restorer, log })), insecure));
  const restore = (request: RestoreRequest) => ask<RestoreResponse>((done) => client.restore(request, done));
  assert.deepEqual(await restore({ clusterDefinition }), { restoreConfig: "restore_command = 'x'\n", envs: ['A=b'] });
  await restore({ clusterDefinition, checkEmptyWalArchive: false });
  assert.deepEqual(calls, [
    { cluster: CLUSTER, checkEmptyArchive: undefined, aborted: false },
    { cluster: CLUSTER, checkEmptyArchive: false, aborted: false },
  ]);
  assert.deepEqual(await ask((done) => client.getCapabilities({}, done)), { capabilities: [{ kind: 1 }] });
});

test('metrics are defined and collected from memory, each sample with a definition and as many labels', async (t) => {
  const metrics = new Metrics();
  metrics.counter('files_total', 'Files.').add();
  metrics.counter('failures_total', 'Failures.', ['class']).add(['broken'], 2);
  metrics.gauge('waiting', 'Waiting.').set(3);
  const address = await serve(t, metricsService({ metrics, log }));
  const client = closing(t, new MetricsClient(address, insecure));
  const capabilities = await ask<MetricsCapabilitiesResult>((done) => client.getCapabilities({}, done));
  assert.deepEqual(capabilities, { capabilities: [{ rpc: { type: 1 } }] });
  const defined = await ask<DefineMetricsResult>((done) => client.define({ clusterDefinition }, done));
  assert.deepEqual(
    defined.metrics.map(({ fqName, help, variableLabels, valueType }) => [
      fqName,
      help,
      variableLabels,
      valueType?.type,
    ]),
    [
      ['files_total', 'Files.', [], 1],
      ['failures_total', 'Failures.', ['class'], 1],
      ['waiting', 'Waiting.', [], 2],
    ],
  );
  const collected = await ask<CollectMetricsResult>((done) => client.collect({ clusterDefinition }, done));
  assert.deepEqual(
    collected.metrics.map(({ fqName, variableLabels, value }) => [fqName, variableLabels, value]),
    [
      ['files_total', [], 1],
      ['failures_total', ['broken'], 2],
      ['waiting', [], 3],
    ],
  );
});
