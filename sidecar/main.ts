// Composition root of the sidecar: reads the settings, puts the rooms together, opens the socket. Nothing here needs the
// API server or the store: the grants of a new Cluster may arrive later than its Pod, so failures belong to calls.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InvalidInputError, messageOf } from '../api/errors.ts';
import { CERTIFICATES_MOUNT, CNPG_GROUP, CNPG_VERSION, PLUGIN_NAME, PLUGINS_MOUNT } from '../api/names.ts';
import { type Environment, PORT_LIMITS, readSettings } from '../api/wire/env.ts';
import { type GrpcService, healthService, startGrpcServer } from '../api/wire/grpc.ts';
import { createKubeClient } from '../api/wire/kube.ts';
import { createLogFromFlags, LOG_FLAGS, type Log } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';
import release from '../package.json' with { type: 'json' };
import { countingBackups } from './backup/backup-metrics.ts';
import { countedArchives } from './backup/counted-storage.ts';
import { type BackupTaker, createBackupTaker } from './backup/take.ts';
import { assertCodecs } from './codecs.ts';
import { showingWindow } from './maintenance/after-backup.ts';
import { createBackupObjects } from './maintenance/backup-objects.ts';
import { tellingFailures } from './maintenance/failed-backup.ts';
import { createMaintenance, type Maintenance } from './maintenance/maintenance.ts';
import { createMaintenanceMetrics } from './maintenance/maintenance-metrics.ts';
import { maintain } from './maintenance/round.ts';
import { createWindowMetrics } from './maintenance/window-metrics.ts';
import { createWindowReport } from './maintenance/window-report.ts';
import { createRestorer } from './restore/run.ts';
import { backupService } from './services/backup.ts';
import { identityService, type SidecarKind } from './services/identity.ts';
import { metricsService } from './services/metrics.ts';
import { restoreJobService } from './services/restore-job.ts';
import { walService } from './services/wal.ts';
import { createArchives } from './store/open.ts';
import { createEvents, type Events } from './telemetry/events.ts';
import { Metrics } from './telemetry/metrics.ts';
import { createWalArchiver, type WalArchiver } from './wal/archive.ts';
import { createReadyWatch, type ReadyWatch } from './wal/ready-watch.ts';
import { createWalRestorer, type WalRestorer } from './wal/restore.ts';
import { createWalMetrics } from './wal/wal-metrics.ts';

/**
 * How long running calls may go on after SIGTERM. By then PostgreSQL has ended and its last segments are archived: what
 * still runs is a backup or a restore that nobody waits for.
 */
const STOP_GRACE_MS = 30_000;

const FLAGS = {
  ...LOG_FLAGS,
  // Profiling of the Go plugin; accepted so that the arguments of an ObjectStore go on working.
  'pprof-server': { type: 'string' },
} as const;

/**
 * Starts the sidecar of an instance or of a recovery Job; it serves when the promise resolves. Throws InvalidInputError
 * naming the flag or the variable that is missing or malformed, before anything listens.
 */
export async function runSidecar(kind: SidecarKind, args: readonly string[], env: Environment): Promise<Running> {
  const flags = readFlags(args);
  const log = createLogFromFlags(flags, kind);
  const settings = readSidecarSettings(kind, env);
  if (flags['pprof-server']) log.info('--pprof-server is ignored: there is no profiling server');
  await makeTemporaryFolder(settings.temporaryFolder, log);
  await assertCodecs();

  const { services, archiver, walRestorer, taker, maintenance, readyWatch, events } = compose(kind, settings, env, log);
  await walRestorer.start();
  const server = await startGrpcServer({
    services,
    address: { socket: join(settings.pluginsFolder, PLUGIN_NAME) },
    log,
  });
  maintenance?.start();
  readyWatch?.start();
  log.info(
    { version: release.version, namespace: settings.namespace, pod: settings.podName },
    `${kind} sidecar started`,
  );
  return {
    async stop() {
      archiver.hurry();
      // PostgreSQL is gone: a backup only keeps us from ending in time.
      taker?.stop();
      await Promise.all([server.stop(STOP_GRACE_MS), maintenance?.stop(), readyWatch?.stop()]);
      await walRestorer.stop();
      await events.settled();
    },
  };
}

function readFlags(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS }).values;
  } catch (error) {
    const known = Object.keys(FLAGS).map((flag) => `--${flag}`);
    const advice = `${firstSentence(messageOf(error))}; known flags are ${known.join(', ')}`;
    throw new InvalidInputError('arguments', args.join(' '), advice, { cause: error });
  }
}

function firstSentence(text: string): string {
  return text.split('. ')[0] ?? text;
}

type SidecarSettings = ReturnType<typeof readSidecarSettings>;

/** Required settings are those of the Go plugin (objectstore-and-injection.md §9.1); CELLAR_* map container paths. */
function readSidecarSettings(kind: SidecarKind, env: Environment) {
  const settings = readSettings(env);
  const clusterName = kind === 'instance' ? settings.required('CLUSTER_NAME') : '';
  return {
    clusterName,
    namespace: settings.required('NAMESPACE'),
    podName: settings.required('POD_NAME'),
    spoolDirectory: settings.required('SPOOL_DIRECTORY'),
    pgdata: settings.optional('PGDATA', '/var/lib/postgresql/data/pgdata'),
    postgres: {
      host: settings.optional('PGHOST', '/controller/run'),
      port: settings.integer('PGPORT', 5432, PORT_LIMITS),
      user: 'postgres',
      database: 'postgres',
    },
    temporaryFolder: settings.optional('TMPDIR', '/controller/tmp'),
    pluginsFolder: settings.optional('CELLAR_PLUGINS_FOLDER', PLUGINS_MOUNT),
    certificatesFolder: settings.optional('CELLAR_CERTIFICATES_FOLDER', CERTIFICATES_MOUNT),
    kube: {
      host: settings.optional('KUBERNETES_SERVICE_HOST', 'kubernetes.default.svc'),
      port: settings.integer('KUBERNETES_SERVICE_PORT', 443, PORT_LIMITS),
      serviceAccountFolder: settings.optional(
        'CELLAR_SERVICE_ACCOUNT_FOLDER',
        '/var/run/secrets/kubernetes.io/serviceaccount',
      ),
      cnpgGroup: settings.optional('CUSTOM_CNPG_GROUP', CNPG_GROUP),
      cnpgVersion: settings.optional('CUSTOM_CNPG_VERSION', CNPG_VERSION),
    },
  };
}

/** The manager makes the folder too, but only after a native sidecar has started (cnpg-i-contract.md §6.3). */
async function makeTemporaryFolder(folder: string, log: Log): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    log.warn(`TMPDIR cannot be made: ${messageOf(error)}`);
  }
}

type Composition = {
  services: GrpcService[];
  archiver: WalArchiver;
  walRestorer: WalRestorer;
  /** Of an instance. */
  taker?: BackupTaker;
  maintenance?: Maintenance;
  readyWatch?: ReadyWatch;
  events: Events;
};

function compose(kind: SidecarKind, settings: SidecarSettings, env: Environment, log: Log): Composition {
  const { namespace, podName, pgdata, spoolDirectory, certificatesFolder } = settings;
  const { version } = release;
  const kube = createKubeClient(settings.kube);
  const registry = new Metrics();
  const requests = registry.counter(
    'cellar_store_requests_total',
    'Requests to object stores, by operation and by how they ended.',
    ['operation', 'status'],
  );
  const expiry = registry.gauge(
    'cellar_store_credentials_expire_timestamp_seconds',
    'When the credentials of an ObjectStore end, Unix time; absent where they do not tell.',
    ['object_store'],
  );
  const onExpiry = (objectStore: string, at: Date | undefined): void => {
    if (at !== undefined) expiry.set(at.getTime() / 1000, [objectStore]);
  };
  const opened = createArchives({ namespace, kube, env, certificatesFolder, log, onExpiry });
  const archives = countedArchives(opened, (operation, status) => requests.add([operation, status]));
  const events = createEvents({ kube, namespace, podName, log });
  const metrics = createWalMetrics(registry);
  const archiver = createWalArchiver({ archives, pgdata, podName, log, events, metrics });
  const walRestorer = createWalRestorer({ archives, podName, spoolDirectory, log, events, metrics });
  const shared = [
    identityService(kind, { version, log }),
    walService({ archiver, restorer: walRestorer, log }),
    healthService(),
  ];
  if (kind === 'restore') {
    const restorer = createRestorer({ archives, pgdata, log });
    return { services: [...shared, restoreJobService({ restorer, log })], archiver, walRestorer, events };
  }
  const ambientEndpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
  const taker = createBackupTaker({
    archives,
    postgres: settings.postgres,
    pgdata,
    instanceName: podName,
    pluginVersion: version,
    ambientEndpoint,
    events,
    log,
  });
  const { clusterName } = settings;
  const windows = createWindowReport({ kube, namespace, show: createWindowMetrics(registry) });
  const backupObjects = createBackupObjects({ backups: kube.backups, namespace, ambientEndpoint, log });
  const roundMetrics = createMaintenanceMetrics(registry);
  const round = {
    kube,
    archives,
    windows,
    backupObjects,
    events,
    namespace,
    clusterName,
    podName,
    log,
    metrics: roundMetrics,
  };
  const maintenance = createMaintenance({ round: (signal) => maintain(round, signal), log, metrics: roundMetrics });
  const take = tellingFailures(events, countingBackups(registry, taker));
  const shownTaker = { take: showingWindow({ archives, windows, log }, take) };
  const readyWatch = createReadyWatch({ pgdata, metrics, log });
  const instance = [
    backupService({ taker: shownTaker, instanceName: podName, log }),
    metricsService({ metrics: registry, log }),
  ];
  return { services: [...shared, ...instance], archiver, walRestorer, taker, maintenance, readyWatch, events };
}
