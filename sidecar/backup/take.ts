// Takes base backups of an instance, one at a time: opens what a backup needs, runs its stages, and cleans up after a
// failure.
import { CancelledError, ConflictError, messageOf, PreconditionError } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PARAMETER_OBJECT_STORE } from '../../api/names.ts';
import { resolveParameters } from '../../api/parameters.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { codecByName } from '../stream/codec.ts';
import { type Events, NO_EVENTS } from '../telemetry/events.ts';
import { unusedParameters } from './backup-parameters.ts';
import { destinationOf } from './destination.ts';
import { chooseIdentity } from './identity.ts';
import { type BackupInfo, emptyBackupInfo } from './info.ts';
import { abortOrphans } from './orphans.ts';
import type { DamageReport } from './page-checksums/damage-ledger.ts';
import { patientStorage } from './patient-storage.ts';
import { chooseAddress, type PostgresAddress } from './postgres-address.ts';
import type { ProgressReport } from './progress.ts';
import { backupMetadata } from './record.ts';
import { type BackupPhase, type Run, storeFailure } from './run.ts';
import { type BackupSettings, backupSettings } from './settings.ts';
import { connectSource } from './source.ts';
import { runStages } from './stages.ts';
import { toDate } from './timestamp.ts';

export type TakenBackup = {
  id: string;
  name: string;
  info: BackupInfo;
  backupLabel: string;
  tablespaceMap: string;
  metadata: Record<string, string>;
  startedAt: Date;
  stoppedAt: Date;
  /** Of files, before they were packed. */
  readBytes: number;
  /** Of tars, as they are stored. */
  storedBytes: number;
};

export type BackupRequest = {
  cluster: Cluster;
  backup: Backup;
  parameters: Record<string, string>;
  signal: AbortSignal;
};

/** A backup that runs; the numbers are there once the copy has begun. */
export type BackupProgress = {
  /** Of the Backup object. */
  name: string;
  id: string;
  phase: BackupPhase;
  startedAt: Date;
} & Partial<ProgressReport>;

export type BackupTaker = {
  /**
   * Throws ConflictError while another one runs, PreconditionError for what must be in place first, CancelledError when
   * its signal is aborted or the taker is stopped, else the first error. After any failure nothing is left running:
   * uploads are aborted, PostgreSQL has ended the backup, and a backup that had begun is recorded as FAILED.
   */
  take(request: BackupRequest): Promise<TakenBackup>;
  /** Of the backup that runs now, if one does. Cheap: for metrics. */
  progress(): BackupProgress | undefined;
  /** Cancels the backup that runs and takes no more; its `take` answers once everything is cleaned up. */
  stop(): void;
};

export type BackupTakerDeps = {
  archives: Archives;
  postgres: PostgresAddress;
  pgdata: string;
  instanceName: string;
  pluginVersion: string;
  /** The endpoint of the environment, for ObjectStores that name none. */
  ambientEndpoint?: string | undefined;
  log: Log;
  /** Nobody is told where there is no API server. */
  events?: Events;
};

type Current = { name: string; run?: Run };

/** What the backups of one instance share. */
type Taker = {
  deps: BackupTakerDeps;
  events: Events;
  stopping: AbortSignal;
  /** Places where uploads of dead runs have been looked for. */
  swept: Set<string>;
  /** Tells about a run from its begin on. */
  onRun: (run: Run) => void;
};

/** Makes the taker of one instance. */
export function createBackupTaker(deps: BackupTakerDeps): BackupTaker {
  const stopping = new AbortController();
  const swept = new Set<string>();
  const { events = NO_EVENTS } = deps;
  let current: Current | undefined;
  return {
    take: async (request) => {
      if (current !== undefined) {
        throw new ConflictError(
          `backup ${current.name} of instance ${deps.instanceName} is still running; ask again when it has ended`,
        );
      }
      const own: Current = { name: request.backup.metadata.name };
      current = own;
      const onRun = (run: Run): void => {
        own.run = run;
      };
      try {
        return await takeBackup({ deps, events, stopping: stopping.signal, swept, onRun }, request);
      } finally {
        current = undefined;
      }
    },
    progress: () => (current?.run === undefined ? undefined : progressOf(current.name, current.run)),
    stop: () => stopping.abort(new CancelledError('the sidecar is stopping')),
  };
}

async function takeBackup(taker: Taker, request: BackupRequest): Promise<TakenBackup> {
  const { deps } = taker;
  const stop = new AbortController();
  const asked = AbortSignal.any([request.signal, taker.stopping]);
  const signal = AbortSignal.any([asked, stop.signal]);
  const startedAt = new Date();
  try {
    asked.throwIfAborted();
    const opened = await openArchive(deps, request);
    const settings = backupSettings(opened.objectStore, opened.storage.capabilities);
    // An unsupported codec is refused here, before PostgreSQL is asked for anything.
    codecByName(settings.compression).encoder().destroy();
    const { address, ignored } = chooseAddress(deps.postgres, settings.postgres);
    const identity = await chooseIdentity(opened, startedAt, signal);
    const log = deps.log.child({ backup: request.backup.metadata.name, backupId: identity.id });
    sayUnused(taker.events, log, request, opened, [...settings.ignoredArguments, ...ignored]);
    await sweepOnce(taker, opened, settings, log, signal);

    const etags = new Map<string, string>();
    const onStored = ({ key, etag }: { key: string; etag: string }) => etags.set(key, etag);
    const archive = { ...opened, storage: patientStorage(opened.storage, { signal, log, onStored }) };
    const source = await connectSource({ postgres: address, signal, log, onLost: (error) => stop.abort(error) });
    const run: Run = {
      ...{ archive, settings, identity, source, startedAt, signal, log, etags },
      ...{ instance: deps.instanceName, pgdata: deps.pgdata },
      phase: 'reading server facts',
      info: emptyBackupInfo(),
      uploads: [],
    };
    taker.onRun(run);
    return await complete(taker, request, run, stop, asked);
  } catch (error) {
    throw firstFailure(error, asked, signal);
  }
}

/** Runs the stages, and ends what is open when one of them fails. */
async function complete(
  taker: Taker,
  request: BackupRequest,
  run: Run,
  stop: AbortController,
  asked: AbortSignal,
): Promise<TakenBackup> {
  const { deps } = taker;
  try {
    const { begin, end, damage, storedBytes } = await runStages(run);
    if (damage !== undefined && damage.total > 0) tellDamage(taker.events, request, run, damage);
    return {
      ...run.identity,
      info: run.info,
      backupLabel: end.label,
      tablespaceMap: end.tablespaceMap,
      startedAt: toDate(begin.time),
      stoppedAt: toDate(end.time),
      ...{ readBytes: run.progress?.sizeBytes ?? 0, storedBytes },
      metadata: backupMetadata({
        ...run,
        ...{ damage, cluster: request.cluster, pluginVersion: deps.pluginVersion },
        destination: destinationOf(run.archive.objectStore, deps.ambientEndpoint),
      }),
    };
  } catch (error) {
    const first = firstFailure(error, asked, run.signal);
    // Should an upload survive what follows, the next backup finds it by the manifest.
    taker.swept.delete(run.archive.location);
    stop.abort(first);
    await Promise.allSettled([run.copy?.abandon(first), run.source.end()]);
    if (run.info.status !== 'EMPTY') await storeFailure(run, first);
    throw first;
  } finally {
    run.progress?.stop();
  }
}

async function openArchive(deps: BackupTakerDeps, request: BackupRequest): Promise<Archive> {
  const reference = resolveParameters(request.cluster).archive;
  if (reference === undefined) {
    throw new PreconditionError(`Cluster ${request.cluster.metadata.name} names no ObjectStore for its backups`, {
      hint: `set spec.plugins[].parameters.${PARAMETER_OBJECT_STORE}`,
    });
  }
  return deps.archives.open(reference);
}

function sayUnused(
  events: Events,
  log: Log,
  { cluster, parameters }: BackupRequest,
  archive: Archive,
  ignoredArguments: string[],
): void {
  if (ignoredArguments.length > 0) {
    log.warn({ arguments: ignoredArguments }, 'these additionalCommandArgs have no effect on the backup');
  }
  const { elsewhere, unknown } = unusedParameters(parameters, archive);
  if (unknown.length > 0) log.warn({ parameters: unknown }, 'these parameters of the Backup have no effect');
  if (elsewhere === undefined) return;
  log.warn(elsewhere);
  events.warn(cluster, 'BackupStoreIgnored', elsewhere);
}

/** The first backup of this process looks for what dead runs left, and so does the one after a failure, of either. */
async function sweepOnce(
  { deps, swept }: Taker,
  archive: Archive,
  { put }: BackupSettings,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (swept.has(archive.location)) return;
  const couldLook = await abortOrphans({ archive, instance: deps.instanceName, now: new Date(), put, signal, log });
  if (couldLook) swept.add(archive.location);
}

function tellDamage(events: Events, { backup, cluster }: BackupRequest, run: Run, damage: DamageReport): void {
  const first = damage.blocks[0];
  const where = first === undefined ? '' : `, the first is block ${first.block} of ${first.path}`;
  const message = `backup ${backup.metadata.name} (${run.identity.id}) holds damaged pages: ${damage.total} in all${where}; keep older backups until it is known why`;
  events.warn(cluster, 'DamagedPages', message);
}

function progressOf(name: string, { identity, phase, startedAt, progress }: Run): BackupProgress {
  return { name, id: identity.id, phase, startedAt, ...progress?.report() };
}

/** Aborting breaks many things at once; the reason of the abort is what happened first. */
function firstFailure(error: unknown, asked: AbortSignal, any: AbortSignal): Error {
  if (asked.aborted) {
    if (error instanceof CancelledError && error.cause === asked.reason) return error;
    return new CancelledError(`the backup was cancelled: ${messageOf(asked.reason)}`, { cause: asked.reason });
  }
  const first: unknown = any.aborted ? any.reason : error;
  return first instanceof Error ? first : new Error(messageOf(first));
}
