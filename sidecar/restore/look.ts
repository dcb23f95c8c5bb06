// What a restore finds out before it touches anything: which backup, where to, and whether it can end well.
import { join } from 'node:path';
import { CorruptError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { sentenceOfIgnored, usableOptions } from '../../api/options.ts';
import type { Log } from '../../api/wire/log.ts';
import { type DoneEntry, listBackups } from '../backup/catalog.ts';
import { chooseForRecovery } from '../backup/choose-for-recovery.ts';
import { patientStorage } from '../backup/patient-storage.ts';
import { formatTimestamp } from '../backup/timestamp.ts';
import type { Archive } from '../store/archive.ts';
import { DEFAULT_PATIENCE, type Patience, persist } from '../wal/persist.ts';
import { assertArchiveReaches } from './checks/end-of-archive.ts';
import { assertMajorFits } from './checks/major.ts';
import { assertSpace } from './checks/space.ts';
import { assertWalOfBackup } from './checks/wal-of-backup.ts';
import { type Placement, placeTablespaces } from './placement.ts';
import { type TargetFolder, targetFolder } from './target-folder.ts';
import { findTars, type StoredTar, type TarSet } from './tars.ts';

export type RestorePlaces = {
  pgdata: string;
  /** Mount of the WAL volume, used when the Cluster has `spec.walStorage`. */
  walFolder: string;
  /** Mounts of the Cluster's own tablespaces, each below its name. */
  tablespacesFolder: string;
};

/** A folder and the tars that fill it. */
export type RestoreTree = { folder: TargetFolder; tars: readonly StoredTar[] };

export type RestorePlan = {
  entry: DoneEntry;
  /** PGDATA first, as a tablespace may lie inside it. */
  data: RestoreTree;
  tablespaces: (RestoreTree & Placement)[];
  /** Undefined when `pg_wal` stays in PGDATA. */
  wal: TargetFolder | undefined;
};

/** A store that is away is waited for; what it answers counts at once. */
const PATIENCE: Patience = { ...DEFAULT_PATIENCE, limitMs: 300_000, logEveryMs: 15_000 };

/**
 * Chooses the backup and checks all that can be checked; touches nothing. Throws PreconditionError, InvalidInputError or
 * ConflictError for what must be different first, CorruptError for a backup that is not whole.
 */
export async function lookBeforeRestore(options: {
  source: Archive;
  cluster: Cluster;
  places: RestorePlaces;
  signal: AbortSignal;
  log: Log;
}): Promise<RestorePlan> {
  const { source, cluster, places, signal, log } = options;
  const { honoured, ignored } = usableOptions('restore', source.objectStore);
  for (const option of ignored) log.warn(sentenceOfIgnored(option));
  const archive = patientArchive(source, { signal, log });
  const target = cluster.spec.bootstrap?.recovery?.recoveryTarget;

  // Each request waits by itself; the body of a small object, once it is on its way, does not.
  const patiently = <T>(what: string, work: () => Promise<T>): Promise<T> =>
    persist(work, { inRecovery: false, signal, patience: PATIENCE, log, what });
  const { entry, timeline } = await patiently('the look at the catalog', async () => {
    const entries = await listBackups(archive, signal, log);
    return chooseForRecovery({ archive, entries, target, signal });
  });
  log.info(
    { backupId: entry.id, ended: formatTimestamp(entry.info.endTime ?? 0n), timeline, location: source.location },
    'restoring this base backup',
  );
  assertMajorFits(cluster, entry);
  const placements = placeTablespaces({
    ...places,
    info: entry.info,
    cluster,
    relocations: honoured.tablespaces ?? {},
  });
  const { sets, manifest } = await patiently('the look at the backup', () => findTars(archive, entry, signal));
  if ((manifest?.damagedBlocks?.length ?? 0) > 0) {
    log.warn(
      { backupId: entry.id, damagedBlocks: manifest?.damagedBlocks },
      'pages of this backup had a wrong checksum when it was taken',
    );
  }
  await patiently('the look at the WAL', async () => {
    await assertWalOfBackup(archive, entry, { timeline, signal, log });
    await assertArchiveReaches({ archive, entry, target, timeline, signal });
  });
  return lookAtFolders({ entry, cluster, places, placements, sets });
}

/** The same place, whose requests wait out trouble for five minutes each. */
export function patientArchive(archive: Archive, options: { signal: AbortSignal; log: Log }): Archive {
  return { ...archive, storage: patientStorage(archive.storage, { ...options, patience: PATIENCE }) };
}

async function lookAtFolders(options: {
  entry: DoneEntry;
  cluster: Cluster;
  places: RestorePlaces;
  placements: readonly Placement[];
  sets: readonly TarSet[];
}): Promise<RestorePlan> {
  const { entry, cluster, places, placements, sets } = options;
  const plan: RestorePlan = {
    entry,
    data: { folder: await targetFolder(places.pgdata, 'PGDATA'), tars: tarsOf(sets, 'data') },
    tablespaces: [],
    wal:
      cluster.spec.walStorage === undefined
        ? undefined
        : await targetFolder(join(places.walFolder, 'pg_wal'), 'the WAL folder'),
  };
  for (const placement of placements) {
    const folder = await targetFolder(placement.path, `the folder of tablespace ${placement.name}`);
    plan.tablespaces.push({ ...placement, folder, tars: tarsOf(sets, String(placement.oid)) });
  }
  const trees = [plan.data, ...plan.tablespaces].map(({ folder, tars }) => ({
    ...{ path: folder.path, purpose: folder.purpose },
    leastBytes: tars.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }));
  await assertSpace(trees, entry.info.clusterSize);
  return plan;
}

function tarsOf(sets: readonly TarSet[], tree: string): readonly StoredTar[] {
  const set = sets.find((candidate) => candidate.tree === tree);
  if (set === undefined) throw new CorruptError(`the backup has no tars of ${tree}`);
  return set.tars;
}
