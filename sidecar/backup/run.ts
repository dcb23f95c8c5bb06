// A backup in progress: what its stages share, and what it stores beside the tars.
import { messageOf } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { codecByName } from '../stream/codec.ts';
import type { Copy } from './copy.ts';
import type { BackupIdentity } from './identity.ts';
import { type BackupInfo, formatBackupInfo } from './info.ts';
import { type BackupManifest, formatManifest } from './manifest.ts';
import type { DamageReport } from './page-checksums/damage-ledger.ts';
import type { Progress } from './progress.ts';
import { recordFailure } from './record.ts';
import type { BackupSettings } from './settings.ts';
import type { BackupSource } from './source.ts';
import type { StoredTar } from './tar-object.ts';

/** In barman's words where barman has the stage; a failure names it in `backup.info`. */
export type BackupPhase =
  | 'reading server facts'
  | 'starting backup'
  | 'uploading data'
  | 'stopping backup'
  | 'verifying objects'
  | 'waiting for WAL'
  | 'uploading backup.info';

export type Run = {
  readonly archive: Archive;
  readonly settings: BackupSettings;
  readonly identity: BackupIdentity;
  readonly source: BackupSource;
  /** This Pod. */
  readonly instance: string;
  readonly pgdata: string;
  readonly startedAt: Date;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** ETags that uploads were answered with, by key. */
  readonly etags: ReadonlyMap<string, string>;
  phase: BackupPhase;
  info: BackupInfo;
  /** Names of objects that may have an open upload. */
  uploads: string[];
  copy?: Copy;
  progress?: Progress;
};

/**
 * How often a run says that it is alive. Without a sign for a day it counts as dead, and its uploads are aborted; a large
 * database takes longer than that.
 */
const HEARTBEAT_MS = 3_600_000;
/** For the last words of a backup that failed: its own signal is gone by then. */
const RECORD_FAILURE_MS = 60_000;

/** Before the first upload, so that whoever comes after a crash knows where uploads may be open. */
export async function storeRunning(run: Run, tablespaces: readonly { oid: number }[]): Promise<void> {
  const { archive, identity, settings } = run;
  const { suffix } = codecByName(settings.compression);
  const keys = tablespaces.map(({ oid }) => archive.keys.tablespace(identity.id, String(oid), 0, suffix));
  run.uploads = [...keys, archive.keys.data(identity.id, 0, suffix)].map((key) => nameOf(run, key));
  await storeManifest(run, { state: 'running', uploads: run.uploads, objects: [] });
}

/**
 * Stores a sign of life in the manifest now and then. `stop` resolves when none is on its way any more: until then nothing else
 * may be stored there.
 */
export function startHeartbeat(run: Run): { stop(): Promise<void> } {
  let beating = Promise.resolve();
  const beat = async (): Promise<void> => {
    try {
      const aliveAt = new Date().toISOString();
      await storeManifest(run, { state: 'running', aliveAt, uploads: run.uploads, objects: [] });
    } catch (error) {
      run.log.debug({ error: messageOf(error) }, 'the sign of life of the backup could not be stored');
    }
  };
  const timer = setInterval(() => {
    beating = beating.then(beat);
  }, HEARTBEAT_MS);
  timer.unref();
  return {
    async stop() {
      clearInterval(timer);
      await beating;
    },
  };
}

/** Before `backup.info`. */
export async function storeComplete(
  run: Run,
  tars: readonly StoredTar[],
  damage: DamageReport | undefined,
): Promise<void> {
  const objects = tars.map(({ key, sizeBytes, crc32 }) => ({ name: nameOf(run, key), sizeBytes, crc32 }));
  const damagedBlocks = damage?.blocks.map(({ path, block }) => ({ path, block }));
  await storeManifest(run, {
    ...{ state: 'complete', aliveAt: new Date().toISOString(), uploads: [], objects },
    ...(damagedBlocks === undefined ? {} : { damagedBlocks }),
  });
}

export async function storeInfo(run: Run, signal: AbortSignal): Promise<void> {
  const { archive, identity, settings } = run;
  const bytes = Buffer.from(formatBackupInfo(run.info));
  await archive.storage.put(archive.keys.backupInfo(identity.id), bytes, { ...settings.put, signal });
}

/** Never throws: the error that it records is what counts. */
export async function storeFailure(run: Run, error: Error): Promise<void> {
  run.info = recordFailure(run.info, run.phase, error);
  try {
    await storeInfo(run, AbortSignal.timeout(RECORD_FAILURE_MS));
  } catch (failure) {
    run.log.warn({ error: messageOf(failure) }, 'the failed backup could not be recorded in the store');
  }
}

type Content = Pick<BackupManifest, 'state' | 'aliveAt' | 'uploads' | 'objects' | 'damagedBlocks'>;

async function storeManifest(run: Run, content: Content): Promise<void> {
  const { archive, identity, settings, instance, signal } = run;
  const manifest: BackupManifest = { version: 1, startedAt: run.startedAt.toISOString(), instance, ...content };
  const bytes = Buffer.from(formatManifest(manifest));
  await archive.storage.put(archive.keys.manifest(identity.id), bytes, { ...settings.put, signal });
}

/** The name of an object below the backup's folder. */
function nameOf({ archive, identity }: Run, key: string): string {
  return key.slice(archive.keys.backup(identity.id).length);
}
