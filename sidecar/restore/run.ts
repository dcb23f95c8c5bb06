// Restores a base backup: look, check, fetch, answer. PGDATA is touched only after everything that can be checked has
// been checked, and becomes startable only as the very last step.
import { join } from 'node:path';
import { CancelledError, CorruptError, messageOf, PreconditionError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, PARAMETER_OBJECT_STORE } from '../../api/names.ts';
import { resolveParameters } from '../../api/parameters.ts';
import { DEFAULT_SEGMENT_SIZE_BYTES } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import { missingSegments, neededSegments } from '../backup/archived-wal.ts';
import { type DoneEntry, listBackups } from '../backup/catalog.ts';
import { chooseBackup } from '../backup/choose.ts';
import { type Progress, startProgress } from '../backup/progress.ts';
import { formatTimestamp } from '../backup/timestamp.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { resumableGet } from '../stream/resumable.ts';
import { assertEmptyArchive } from '../wal/empty-archive.ts';
import { CONTROL_FILE, completeLayout, releaseControlFile } from './layout.ts';
import { type TargetFolder, targetFolder } from './target-folder.ts';
import { findTars, type TarSet } from './tars.ts';
import { Unpacker } from './unpack.ts';

export type RestoreRequest = { cluster: Cluster; checkEmptyArchive: boolean | undefined; signal: AbortSignal };

/** What the manager adds to its configuration, and to the environment of PostgreSQL as `NAME=VALUE`. */
export type RestoreAnswer = { config: string; env: string[] };

export type Restorer = { restore(request: RestoreRequest): Promise<RestoreAnswer> };

export type RestorerDeps = {
  archives: Archives;
  pgdata: string;
  /** Mount of the WAL volume, used when the Cluster has `spec.walStorage`. */
  walFolder?: string;
  log: Log;
};

const WAL_FOLDER = '/var/lib/postgresql/wal';

/** No recovery target: the manager appends it itself (cnpg-i-contract.md §5.6). */
const RECOVERY_CONFIG = `restore_command = '/controller/manager wal-restore --log-destination /controller/log/postgres.json %f %p'
recovery_target_action = 'promote'
`;

/**
 * Restores the Cluster's recovery source into PGDATA. `restore` throws PreconditionError or ConflictError for what must
 * be different first, CorruptError for a backup that is not whole, CancelledError when its signal is aborted; after any
 * failure the folders are empty again.
 */
export function createRestorer(deps: RestorerDeps): Restorer {
  return {
    restore: async (request) => {
      try {
        await restore(deps, request);
      } catch (error) {
        if (request.signal.aborted) throw new CancelledError('the restore was cancelled', { cause: error });
        throw error;
      }
      return { config: RECOVERY_CONFIG, env: [] };
    },
  };
}

async function restore(deps: RestorerDeps, request: RestoreRequest): Promise<void> {
  const { cluster, signal } = request;
  const { archives, log } = deps;
  const startedMs = performance.now();
  const { recovery, archive: own } = resolveParameters(cluster);
  if (recovery === undefined) {
    throw new PreconditionError(`Cluster ${cluster.metadata.name} names no ObjectStore to recover from`, {
      hint: `set plugin.parameters.${PARAMETER_OBJECT_STORE} of the externalClusters entry that bootstrap.recovery.source names`,
    });
  }
  const source = await archives.open(recovery);
  if (own !== undefined && wantsEmptyArchive(request)) await assertEmptyArchive(await archives.open(own), signal);

  const entries = await listBackups(source, signal, log);
  const chosen = chooseBackup(entries, cluster.spec.bootstrap?.recovery?.recoveryTarget);
  log.info(
    { backupId: chosen.id, ended: formatTimestamp(chosen.info.endTime ?? 0n), location: source.location },
    'restoring this base backup',
  );
  const sets = await findTars(source, chosen, signal);
  await assertWalPresent(source, chosen, signal);
  const folders = await lookAtFolders(deps, cluster, chosen);

  const progress = startProgress(log, 'restore', chosen.info.clusterSize);
  try {
    for (const folder of folders.all) await folder.prepare();
    for (const set of sets) await fetchTree(source, set, folderOf(set, folders, chosen), progress, signal);
    const walDestination = folders.wal?.path;
    await completeLayout({ pgdata: folders.pgdata.path, info: chosen.info, walDestination });
    signal.throwIfAborted();
    await releaseControlFile(folders.pgdata.path);
  } catch (error) {
    await clearAll(folders.all, log);
    throw error;
  } finally {
    progress.stop();
  }
  const seconds = Number(((performance.now() - startedMs) / 1000).toFixed(1));
  log.info({ backupId: chosen.id, files: progress.files, writtenBytes: progress.sizeBytes, seconds }, 'restored');
}

/** The request's own word, else the annotation. The check concerns the store of the new Cluster, not the source. */
function wantsEmptyArchive({ cluster, checkEmptyArchive }: RestoreRequest): boolean {
  return checkEmptyArchive ?? cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] !== 'enabled';
}

/** Without every segment from begin to end the data folder never becomes consistent. */
async function assertWalPresent(archive: Archive, { id, info }: DoneEntry, signal: AbortSignal): Promise<void> {
  const { timeline, beginXlog, endXlog } = info;
  if (timeline === undefined || beginXlog === undefined || endXlog === undefined) {
    throw new CorruptError(`backup.info of ${id} does not say which WAL the backup needs`);
  }
  const needed = neededSegments({
    beginTimeline: timeline,
    endTimeline: Math.max(timeline, Number.parseInt(info.endWal?.slice(0, 8) ?? '', 16) || 0),
    beginLsn: beginXlog,
    endLsn: endXlog,
    segmentSizeBytes: info.xlogSegmentSize ?? DEFAULT_SEGMENT_SIZE_BYTES,
  });
  const missing = await missingSegments(archive, needed, signal);
  if (missing.length === 0) return;
  throw new PreconditionError(
    `base backup ${id} cannot be restored: the archive ${archive.location} lacks ${missing.length} of the ` +
      `${needed.length} WAL segments that it needs, first ${missing[0]?.join(' or ')}`,
    { hint: 'restore another backup (recoveryTarget.backupID), or put the segments back' },
  );
}

type Folders = {
  pgdata: TargetFolder;
  wal: TargetFolder | undefined;
  tablespaces: TargetFolder[];
  all: TargetFolder[];
};

/** PGDATA comes first, as a tablespace may lie inside it. */
async function lookAtFolders(deps: RestorerDeps, cluster: Cluster, { info }: DoneEntry): Promise<Folders> {
  const pgdata = await targetFolder(deps.pgdata, 'PGDATA');
  const hasWalVolume = cluster.spec.walStorage !== undefined;
  const wal = hasWalVolume
    ? await targetFolder(join(deps.walFolder ?? WAL_FOLDER, 'pg_wal'), 'the WAL folder')
    : undefined;
  const tablespaces: TargetFolder[] = [];
  for (const { name, location } of info.tablespaces ?? []) {
    tablespaces.push(await targetFolder(location, `the folder of tablespace ${name}`));
  }
  return { pgdata, wal, tablespaces, all: [pgdata, ...(wal === undefined ? [] : [wal]), ...tablespaces] };
}

function folderOf(set: TarSet, folders: Folders, { info }: DoneEntry): TargetFolder {
  if (set.tree === 'data') return folders.pgdata;
  const index = info.tablespaces?.findIndex(({ oid }) => String(oid) === set.tree) ?? -1;
  const folder = folders.tablespaces[index];
  if (folder === undefined) throw new CorruptError(`no tablespace has the OID ${set.tree}`);
  return folder;
}

async function fetchTree(
  archive: Archive,
  set: TarSet,
  folder: TargetFolder,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const heldBack = set.tree === 'data' ? { heldBack: CONTROL_FILE } : {};
  const unpacker = new Unpacker({ root: folder.path, progress, ...heldBack });
  try {
    for (const { key, codec } of set.tars) {
      const opened = await resumableGet(archive.storage, key, { signal });
      if (opened === undefined) throw new CorruptError(`${key} disappeared from ${archive.location}`);
      await unpacker.unpack(opened.body, codec, signal);
    }
    await unpacker.finish();
  } catch (error) {
    await unpacker.abandon();
    throw error;
  }
}

async function clearAll(folders: TargetFolder[], log: Log): Promise<void> {
  for (const folder of folders.toReversed()) {
    await folder.clear().catch((error) => {
      log.error({ folder: folder.path, error: messageOf(error) }, 'could not empty the folder after a failed restore');
    });
  }
}
