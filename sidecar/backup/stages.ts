// The order of work of a base backup (object-store-layout.md §5.3): begin, copy, end, look, and only then say DONE.
import { relative } from 'node:path';
import { historyName, parseLsn } from '../../api/wal-name.ts';
import { codecByName } from '../stream/codec.ts';
import { neededSegments, waitForSegments } from './archived-wal.ts';
import { type Copied, prepareCopy } from './copy.ts';
import { abortLeftovers } from './orphans.ts';
import { checkOwnFolder } from './own-folder.ts';
import type { DamageReport } from './page-checksums/damage-ledger.ts';
import { preparePageChecks } from './page-checksums/page-checks.ts';
import { sayWhileWaiting, startProgress } from './progress.ts';
import { copyStats, recordBegin, recordEnd, recordFacts } from './record.ts';
import { type Run, startHeartbeat, storeComplete, storeInfo, storeRunning } from './run.ts';
import type { BackupPoint, BackupStop, ServerFacts } from './source.ts';
import type { TarTarget } from './tar-object.ts';
import { verifyStored } from './verify-stored.ts';

export type Finished = {
  begin: BackupPoint;
  end: BackupStop;
  damage: DamageReport | undefined;
  /** All tars, as they are stored. */
  storedBytes: number;
};

type Stored = Finished & { copied: Copied };

/** Runs all stages; `run` always says how far it has come. On a failure the caller ends what is open. */
export async function runStages(run: Run): Promise<Finished> {
  const startedMs = performance.now();
  const asked = await run.source.facts();
  run.signal.throwIfAborted();
  await checkOwnFolder(run.pgdata, { systemId: asked.systemId, postmaster: await run.source.postmaster() });
  run.info = recordFacts(run.info, run.identity.name, asked);
  sayLeftOut(run, asked);
  // A store that takes nothing is found out before PostgreSQL writes a checkpoint.
  await storeRunning(run, asked.tablespaces);
  const heartbeat = startHeartbeat(run);
  try {
    const stored = await storeTars(run, asked);
    await heartbeat.stop();
    await finish(run, stored, startedMs);
    return stored;
  } finally {
    await heartbeat.stop();
  }
}

/** Everything but the last words: begin, copy, end, and a look whether all of it is there. */
async function storeTars(run: Run, asked: ServerFacts): Promise<Stored> {
  const { source, signal, log } = run;
  const { begin, facts } = await beginBackup(run, asked);

  run.phase = 'uploading data';
  const pageChecks = preparePageChecks({ facts, startLsn: parseLsn(begin.lsn), signal, log });
  run.progress = startProgress(log, 'base backup', facts.clusterSizeBytes);
  run.copy = prepareCopy({
    ...{ id: run.identity.id, archive: run.archive, target: targetOf(run), pgdata: run.pgdata, facts, pageChecks },
    ...{ splitBytes: run.settings.splitBytes, progress: run.progress },
  });
  await run.copy.copyTrees();

  run.phase = 'stopping backup';
  const end = await source.stop();
  run.info = recordEnd(run.info, end, facts.segmentSizeBytes);
  await source.markEnd(`barman_${run.identity.id}`);
  await source.end();

  run.phase = 'uploading data';
  const copied = await run.copy.finish(end.label);
  const damage = pageChecks?.finish();

  run.phase = 'verifying objects';
  await verifyStored(run.archive.storage, copied.tars, run.etags, signal);
  await abortLeftovers(run.archive, copied.tars, signal, log);

  run.phase = 'waiting for WAL';
  await waitForWal(run, facts, begin, end);

  const storedBytes = copied.tars.reduce((sum, tar) => sum + tar.sizeBytes, 0);
  return { begin, end, damage, copied, storedBytes };
}

async function finish(run: Run, { copied, damage, storedBytes }: Stored, startedMs: number): Promise<void> {
  run.phase = 'uploading backup.info';
  await storeComplete(run, copied.tars, damage);
  const seconds = (performance.now() - startedMs) / 1000;
  run.info = { ...run.info, status: 'DONE', copyStats: copyStats(seconds, run.settings.jobs, copied.seconds) };
  await storeInfo(run, run.signal);
  const read = { files: run.progress?.files, readBytes: run.progress?.sizeBytes };
  run.log.info({ ...read, storedBytes, seconds: Number(seconds.toFixed(1)) }, 'backup is complete');
}

/** As barman does: what postgresql.conf includes from elsewhere may be the machine's own. */
function sayLeftOut({ log }: Run, { pgdata, includedFiles = [] }: ServerFacts): void {
  const files = includedFiles.filter((file) => relative(pgdata, file).startsWith('..'));
  if (files.length > 0)
    log.warn({ files }, 'included configuration files outside the data folder are not in the backup');
}

async function beginBackup(run: Run, asked: ServerFacts): Promise<{ begin: BackupPoint; facts: ServerFacts }> {
  const { source, settings, identity, archive, log } = run;
  run.phase = 'starting backup';
  const label = `Barman backup cloud ${identity.id}`;
  const begin = await sayWhileWaiting(log, checkpointMessage(run), source.start(label, settings.immediateCheckpoint));
  // A tablespace that was made while the checkpoint was awaited is not in the WAL that the backup needs.
  const tablespaces = await source.tablespaces();
  const facts = { ...asked, tablespaces };
  const names = (list: ServerFacts['tablespaces']): string => list.map(({ oid }) => oid).join();
  if (names(tablespaces) !== names(asked.tablespaces)) await storeRunning(run, tablespaces);
  run.info = recordBegin(recordFacts(run.info, identity.name, facts), begin, facts.segmentSizeBytes);
  log.info({ beginWal: run.info.beginWal, beginLsn: begin.lsn, location: archive.location }, 'backup has begun');
  return { begin, facts };
}

function checkpointMessage({ settings }: Run): string {
  return settings.immediateCheckpoint
    ? 'waiting for the checkpoint that begins the backup'
    : 'waiting for a spread checkpoint; spec.configuration.data.immediateCheckpoint: true makes it immediate';
}

function targetOf({ archive, settings, signal }: Run): TarTarget {
  const { compression, level, partBytes, jobs, put, maxBytesPerSecond } = settings;
  return {
    ...{ storage: archive.storage, codec: codecByName(compression), partBytes, jobs, put, signal },
    ...(level === undefined ? {} : { level }),
    ...(maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond }),
  };
}

async function waitForWal(run: Run, facts: ServerFacts, begin: BackupPoint, end: BackupStop): Promise<void> {
  const { archive, signal, log } = run;
  const segments = neededSegments({
    ...{ beginTimeline: begin.timeline, endTimeline: end.timeline, beginLsn: begin.lsn, endLsn: end.lsn },
    segmentSizeBytes: facts.segmentSizeBytes,
  });
  // Without the page of history nobody gets from the one timeline to the other.
  const needed = end.timeline === begin.timeline ? segments : [...segments, [historyName(end.timeline)]];
  const archivedBy = facts.inRecovery ? 'the primary' : 'this server';
  await waitForSegments({ archive, signal, log, needed, archivedBy });
}
