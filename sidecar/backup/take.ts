// Takes a base backup: begin, copy, end, wait for the WAL that it needs, and only then say DONE.
import { CancelledError, ConflictError, messageOf, PreconditionError } from '../../api/errors.ts';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PARAMETER_OBJECT_STORE } from '../../api/names.ts';
import { resolveParameters } from '../../api/parameters.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { codecByName } from '../stream/codec.ts';
import { neededSegments, waitForSegments } from './archived-wal.ts';
import { type Copy, prepareCopy } from './copy.ts';
import { type BackupIdentity, chooseIdentity } from './identity.ts';
import { type BackupInfo, emptyBackupInfo, formatBackupInfo } from './info.ts';
import { sayWhileWaiting, startProgress } from './progress.ts';
import { backupMetadata, copyStats, recordBegin, recordEnd, recordFacts, recordFailure } from './record.ts';
import { type BackupSettings, backupSettings } from './settings.ts';
import { type BackupSource, connectSource, type PostgresAddress } from './source.ts';
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
};

export type BackupRequest = {
  cluster: Cluster;
  backup: Backup;
  parameters: Record<string, string>;
  signal: AbortSignal;
};

export type BackupTaker = { take(request: BackupRequest): Promise<TakenBackup> };

export type BackupTakerDeps = {
  archives: Archives;
  postgres: PostgresAddress;
  pgdata: string;
  instanceName: string;
  pluginVersion: string;
  log: Log;
};

/** How long a standby waits for the primary to archive, as a standby cannot make it happen. */
const STANDBY_WAL_LIMIT_MS = 30 * 60_000;
/** For the last words of a backup that failed: its own signal is gone by then. */
const RECORD_FAILURE_MS = 60_000;

/**
 * Takes base backups of one instance, one at a time. `take` throws ConflictError while another one runs,
 * PreconditionError for what must be in place first, CancelledError when its signal is aborted, else the first error.
 * After any failure nothing is left running: uploads are aborted, PostgreSQL has ended the backup, and a backup that
 * had begun is recorded as FAILED.
 */
export function createBackupTaker(deps: BackupTakerDeps): BackupTaker {
  let running: string | undefined;
  return {
    take: async (request) => {
      if (running !== undefined) {
        throw new ConflictError(
          `backup ${running} of instance ${deps.instanceName} is still running; ask again when it has ended`,
        );
      }
      running = request.backup.metadata.name;
      try {
        return await takeBackup(deps, request);
      } finally {
        running = undefined;
      }
    },
  };
}

async function takeBackup(deps: BackupTakerDeps, request: BackupRequest): Promise<TakenBackup> {
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  const archive = await openArchive(deps, request);
  const settings = backupSettings(archive.objectStore, archive.storage.capabilities);
  // An unsupported codec is refused here, before PostgreSQL is asked for anything.
  codecByName(settings.compression).encoder().destroy();
  const identity = await chooseIdentity(archive, new Date(), signal);
  const log = deps.log.child({ backup: request.backup.metadata.name, backupId: identity.id });
  sayUnused(log, settings, request, archive);
  const { postgres } = deps;
  const source = await connectSource({ postgres, signal, log, onLost: (error) => stop.abort(error) });
  const run: Run = { deps, archive, settings, identity, source, signal, log, info: emptyBackupInfo() };
  run.phase = 'reading server facts';
  try {
    const taken = await runBackup(run);
    return {
      ...taken,
      metadata: backupMetadata({ ...run, cluster: request.cluster, pluginVersion: deps.pluginVersion }),
    };
  } catch (error) {
    const first = firstFailure(error, request.signal, signal);
    stop.abort(first);
    await Promise.allSettled([run.copy?.abandon(first), source.end()]);
    if (run.info.status !== 'EMPTY') await storeFailure(run, first);
    throw first;
  }
}

/** A backup in progress. `phase` is for the error that a failure records. */
type Run = {
  deps: BackupTakerDeps;
  archive: Archive;
  settings: BackupSettings;
  identity: BackupIdentity;
  source: BackupSource;
  signal: AbortSignal;
  log: Log;
  info: BackupInfo;
  phase?: string;
  copy?: Copy;
};

async function runBackup(run: Run): Promise<Omit<TakenBackup, 'metadata'>> {
  const { archive, settings, identity, source, signal, log } = run;
  const startedMs = performance.now();
  const facts = await source.facts();
  const { segmentSizeBytes } = facts;
  signal.throwIfAborted();

  run.phase = 'starting backup';
  run.info = recordFacts(run.info, identity.name, facts);
  const begin = await sayWhileWaiting(
    log,
    checkpointMessage(settings),
    source.start(label(identity), settings.immediateCheckpoint),
  );
  run.info = recordBegin(run.info, begin, segmentSizeBytes);
  log.info({ beginWal: run.info.beginWal, beginLsn: begin.lsn, location: archive.location }, 'backup has begun');

  run.phase = 'uploading data';
  const progress = startProgress(log, 'base backup', facts.clusterSizeBytes);
  try {
    const { jobs, partBytes, put } = settings;
    const codec = codecByName(settings.compression);
    const target = { storage: archive.storage, codec, partBytes, jobs, put, signal };
    const { maxArchiveBytes } = settings;
    const { pgdata } = run.deps;
    run.copy = prepareCopy({ id: identity.id, archive, target, maxArchiveBytes, pgdata, facts, progress });
    await run.copy.copyTrees();

    run.phase = 'stopping backup';
    const end = await source.stop();
    run.info = recordEnd(run.info, end, segmentSizeBytes);
    await source.markEnd(`barman_${identity.id}`);
    await source.end();

    run.phase = 'uploading data';
    const copied = await run.copy.finish(end.label);

    run.phase = 'waiting for WAL';
    await waitForSegments({
      archive,
      signal,
      log,
      needed: neededSegments({
        beginTimeline: begin.timeline,
        endTimeline: end.timeline,
        beginLsn: begin.lsn,
        endLsn: end.lsn,
        segmentSizeBytes,
      }),
      limitMs: facts.inRecovery ? STANDBY_WAL_LIMIT_MS : undefined,
    });

    run.phase = 'uploading backup.info';
    const seconds = (performance.now() - startedMs) / 1000;
    run.info = { ...run.info, status: 'DONE', copyStats: copyStats(seconds, jobs, copied.seconds) };
    await storeInfo(run, signal);
    const storedBytes = copied.tars.reduce((sum, tar) => sum + tar.sizeBytes, 0);
    log.info(
      { files: progress.files, readBytes: progress.sizeBytes, storedBytes, seconds: Number(seconds.toFixed(1)) },
      'backup is complete',
    );
    return {
      ...identity,
      info: run.info,
      backupLabel: end.label,
      tablespaceMap: end.tablespaceMap,
      startedAt: toDate(begin.time),
      stoppedAt: toDate(end.time),
    };
  } finally {
    progress.stop();
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

function sayUnused(log: Log, settings: BackupSettings, request: BackupRequest, archive: Archive): void {
  if (settings.ignoredArguments.length > 0) {
    log.warn({ arguments: settings.ignoredArguments }, 'these additionalCommandArgs have no effect on the backup');
  }
  const asked = request.parameters[PARAMETER_OBJECT_STORE];
  if (asked !== undefined && asked !== archive.objectStore.metadata.name) {
    log.warn(
      { asked, location: archive.location },
      'a Backup cannot choose its store: it goes to the one of its Cluster',
    );
  }
}

function checkpointMessage(settings: BackupSettings): string {
  return settings.immediateCheckpoint
    ? 'waiting for the checkpoint that begins the backup'
    : 'waiting for a spread checkpoint; spec.configuration.data.immediateCheckpoint: true makes it immediate';
}

function label(identity: BackupIdentity): string {
  return `Barman backup cloud ${identity.id}`;
}

/** Aborting breaks many things at once; the reason of the abort is what happened first. */
function firstFailure(error: unknown, asked: AbortSignal, any: AbortSignal): Error {
  if (asked.aborted) return new CancelledError('the backup was cancelled', { cause: asked.reason });
  const first: unknown = any.aborted ? any.reason : error;
  return first instanceof Error ? first : new Error(messageOf(first));
}

async function storeFailure(run: Run, error: Error): Promise<void> {
  run.info = recordFailure(run.info, run.phase ?? '', error);
  try {
    await storeInfo(run, AbortSignal.timeout(RECORD_FAILURE_MS));
  } catch (failure) {
    run.log.warn({ error: messageOf(failure) }, 'the failed backup could not be recorded in the store');
  }
}

async function storeInfo(run: Run, signal: AbortSignal): Promise<void> {
  const { archive, identity, settings } = run;
  const bytes = Buffer.from(formatBackupInfo(run.info));
  await archive.storage.put(archive.keys.backupInfo(identity.id), bytes, { ...settings.put, signal });
}
