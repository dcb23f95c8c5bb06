// Restores a base backup: look, check, fetch, answer. PGDATA is touched only after everything that can be checked has
// been checked, and becomes startable only as the very last step.
import { CancelledError, messageOf, PreconditionError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK, PARAMETER_OBJECT_STORE } from '../../api/names.ts';
import { resolveParameters } from '../../api/parameters.ts';
import type { Log } from '../../api/wire/log.ts';
import { startProgress } from '../backup/progress.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { assertEmptyArchive } from '../wal/empty-archive.ts';
import { fetchTrees } from './fetch.ts';
import { CONTROL_FILE, completeLayout, releaseControlFile } from './layout.ts';
import { lookBeforeRestore, patientArchive, type RestorePlaces, type RestorePlan } from './look.ts';
import type { TargetFolder } from './target-folder.ts';

export type RestoreRequest = { cluster: Cluster; checkEmptyArchive: boolean | undefined; signal: AbortSignal };

/** What the manager adds to its configuration, and to the environment of PostgreSQL as `NAME=VALUE`. */
export type RestoreAnswer = { config: string; env: string[] };

export type Restorer = { restore(request: RestoreRequest): Promise<RestoreAnswer> };

export type RestorerDeps = Pick<RestorePlaces, 'pgdata'> &
  Partial<Omit<RestorePlaces, 'pgdata'>> & {
    archives: Archives;
    log: Log;
  };

/** Where CloudNativePG mounts them. */
const WAL_FOLDER = '/var/lib/postgresql/wal';
const TABLESPACES_FOLDER = '/var/lib/postgresql/tablespaces';

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
  const { archives, log, pgdata, walFolder = WAL_FOLDER, tablespacesFolder = TABLESPACES_FOLDER } = deps;
  const startedMs = performance.now();
  const { recovery, archive: own } = resolveParameters(cluster);
  if (recovery === undefined) {
    throw new PreconditionError(`Cluster ${cluster.metadata.name} names no ObjectStore to recover from`, {
      hint: `set plugin.parameters.${PARAMETER_OBJECT_STORE} of the externalClusters entry that bootstrap.recovery.source names`,
    });
  }
  const source = await archives.open(recovery);
  if (own !== undefined && wantsEmptyArchive(request)) {
    await assertEmptyArchive(patientArchive(await archives.open(own), { signal, log }), signal);
  }

  const places = { pgdata, walFolder, tablespacesFolder };
  const plan = await lookBeforeRestore({ source, cluster, places, signal, log });
  const progress = startProgress(log, 'restore', plan.entry.info.clusterSize);
  try {
    for (const folder of foldersOf(plan)) await folder.prepare();
    await fetchAll(source, plan, { progress, signal });
    await completeLayout({
      ...{ pgdata, entry: plan.entry, tablespaces: plan.tablespaces },
      walDestination: plan.wal?.path,
    });
    signal.throwIfAborted();
    // PGDATA's own first: with its control file it is whole, and a marker in it would say that it is not.
    await plan.data.folder.keep();
    await releaseControlFile(pgdata);
    for (const folder of foldersOf(plan)) await folder.keep();
  } catch (error) {
    await clearAll(foldersOf(plan), log);
    throw error;
  } finally {
    progress.stop();
  }
  const seconds = Number(((performance.now() - startedMs) / 1000).toFixed(1));
  log.info({ backupId: plan.entry.id, files: progress.files, writtenBytes: progress.sizeBytes, seconds }, 'restored');
}

/** The request's own word, else the annotation. The check concerns the store of the new Cluster, not the source. */
function wantsEmptyArchive({ cluster, checkEmptyArchive }: RestoreRequest): boolean {
  return checkEmptyArchive ?? cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] !== 'enabled';
}

/** In the order to make them; they are cleared the other way round. */
function foldersOf({ data, wal, tablespaces }: RestorePlan): TargetFolder[] {
  return [data.folder, ...(wal === undefined ? [] : [wal]), ...tablespaces.map(({ folder }) => folder)];
}

function fetchAll(
  { storage }: Archive,
  { data, tablespaces }: RestorePlan,
  options: Pick<Parameters<typeof fetchTrees>[0], 'progress' | 'signal'>,
): Promise<void> {
  const trees = [
    { tars: data.tars, folder: data.folder.path, heldBack: CONTROL_FILE },
    ...tablespaces.map(({ tars, folder }) => ({ tars, folder: folder.path })),
  ];
  return fetchTrees({ storage, trees, ...options });
}

async function clearAll(folders: TargetFolder[], log: Log): Promise<void> {
  for (const folder of folders.toReversed()) {
    await folder.clear().catch((error) => {
      log.error({ folder: folder.path, error: messageOf(error) }, 'could not empty the folder after a failed restore');
    });
  }
}
