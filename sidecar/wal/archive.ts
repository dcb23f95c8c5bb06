// Archives one WAL file: answered only after the store has confirmed it (object-store-layout.md §2, §12 row 9;
// cnpg-i-contract.md §5.2).
import { access, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { InvalidInputError, messageOf, PreconditionError, StoreError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import {
  ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK,
  EMPTY_ARCHIVE_MARKER,
  PARAMETER_OBJECT_STORE,
  PLUGIN_NAME,
} from '../../api/names.ts';
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive, Archives } from '../store/archive.ts';
import type { ObjectInfo } from '../store/store.ts';
import { abreast } from './abreast.ts';
import { compareStored } from './already-stored.ts';
import { allowsOverwrite, conflictError, type LocalFile, overwrite } from './conflict.ts';
import { EmptyArchiveGate } from './empty-archive.ts';
import { Limit } from './limit.ts';
import { LookAhead } from './look-ahead.ts';
import { Ownership } from './ownership.ts';
import { packFile } from './pack.ts';
import { putConfirmed } from './put-confirmed.ts';
import { storeToWrite } from './role.ts';
import { type ArchiveSettings, archiveSettings } from './settings.ts';
import { SingleFlight } from './single-flight.ts';
import { listStored } from './stored.ts';

export type ArchiveRequest = {
  cluster: Cluster;
  /** Absolute path of the file. */
  sourceFile: string;
  /** The operator's decision; undefined from older operators, then the annotation and the marker decide. */
  checkEmptyArchive: boolean | undefined;
  signal: AbortSignal;
};

export type WalArchiver = {
  archive(request: ArchiveRequest): Promise<void>;
  /** The process was told to stop: nothing more goes ahead, and what runs has ten seconds. */
  hurry(): void;
};

export type WalArchiverDeps = {
  archives: Archives;
  pgdata: string;
  podName: string;
  log: Log;
  /** The caller sets no deadline; ours is two minutes, after which PostgreSQL asks again. */
  limitMs?: number;
  /** The same once the process was told to stop. */
  stopMs?: number;
};

const DEFAULT_LIMIT_MS = 120_000;
const DEFAULT_STOP_MS = 10_000;

/**
 * Makes the archiver. `archive` resolves after the store has confirmed the file, or has shown that it holds this very
 * content. Throws InvalidInputError for a name that is not a WAL file's, PreconditionError when no store is named or
 * something is missing, ConflictError when another content is stored or the archive is not empty, StoreError else.
 */
export function createWalArchiver(deps: WalArchiverDeps): WalArchiver {
  const flights = new SingleFlight<void>();
  const gate = new EmptyArchiveGate();
  const noteOnce = once();
  const ahead = new LookAhead(deps.log);
  const work: Work = { ...deps, gate, noteOnce, ownership: new Ownership(deps.pgdata, deps.log) };
  const archiveOnce = (archive: Archive, request: ArchiveRequest, name: WalName, signal: AbortSignal) =>
    flights.run(`${archive.location}\n${request.sourceFile}`, signal, (shared) =>
      archiveFile(work, request, archive, name, shared),
    );
  const limit = new Limit(deps.limitMs ?? DEFAULT_LIMIT_MS, deps.stopMs ?? DEFAULT_STOP_MS);

  return {
    async archive(request) {
      const name = readName(request.sourceFile);
      const { reference, declared } = storeToWrite(request.cluster);
      if (reference === undefined) throw noStore(request.cluster);
      if (!declared) noteOnce('role', () => noteRole(deps.log, request.cluster));
      const archiveAhead = async (sourceFile: string) => {
        const next = { ...request, sourceFile, checkEmptyArchive: false };
        await limit.run(readName(sourceFile), NEVER, async (signal) =>
          archiveOnce(await deps.archives.open(reference), next, readName(sourceFile), signal),
        );
      };
      await limit.run(name, request.signal, async (signal) => {
        const archive = await deps.archives.open(reference);
        const goAhead = () => void ahead.fill(archive, request.sourceFile, archiveAhead);
        if (gate.owns(archive)) goAhead();
        if (await ahead.claim(archive, request.sourceFile)) {
          await removeMarker(deps);
          return;
        }
        const joins = ahead.isRunning(archive, request.sourceFile);
        try {
          await archiveOnce(archive, request, name, signal);
        } catch (error) {
          if (!joins || signal.aborted) throw error;
          await archiveOnce(archive, request, name, signal);
        }
        if (gate.owns(archive)) goAhead();
      });
    },
    hurry() {
      ahead.stop();
      limit.hurry();
    },
  };
}

/** What goes ahead belongs to no caller. */
const NEVER = new AbortController().signal;

type Work = WalArchiverDeps & { gate: EmptyArchiveGate; ownership: Ownership; noteOnce: NoteOnce };

async function archiveFile(
  deps: Work,
  request: ArchiveRequest,
  archive: Archive,
  name: WalName,
  signal: AbortSignal,
): Promise<void> {
  const { gate, noteOnce } = deps;
  const startedAt = performance.now();
  const settings = archiveSettings(archive.objectStore);
  for (const reason of settings.ignored) noteOnce(reason, () => deps.log.warn(`argument without effect: ${reason}`));
  const [packed, alreadyThere] = await abreast(
    signal,
    (shared) => packFile(request.sourceFile, settings.codec, shared, settings),
    (shared) => storedForms(archive, name, shared),
  );
  // Before the check for an empty archive: after a crash between put and answer the file found there is this one.
  const file = { name, path: request.sourceFile, packed };
  const comparison = await compareStored(archive, alreadyThere, packed, signal);
  if (comparison.outcome === 'stored') {
    gate.own(archive);
  } else if (comparison.outcome === 'free') {
    await deps.ownership.verify(archive, signal);
    const check = await wantsEmptyArchive(deps.pgdata, request);
    await gate.through(archive, check, signal, () => putNew(archive, settings, file, comparison.cut, signal));
  } else if (allowsOverwrite(request.cluster, name)) {
    await overwrite(archive, comparison.conflicts, file, settings, deps.log, signal);
  } else {
    throw await conflictError(archive, comparison.conflicts[0], file, signal);
  }
  await removeMarker(deps);
  deps.log.info(
    {
      file: name.name,
      rawBytes: packed.sizeBytes,
      storedBytes: packed.storedBytes,
      milliseconds: Math.round(performance.now() - startedAt),
    },
    comparison.outcome === 'stored' ? 'WAL file was already stored' : 'WAL file archived',
  );
}

/** Forms of exactly this name: a segment's `.partial` is another file. */
async function storedForms(archive: Archive, name: WalName, signal: AbortSignal) {
  return (await listStored(archive, name, signal)).filter((stored) => stored.name.name === name.name);
}

/**
 * Stores under a key that was seen to be free, or to hold the rest of an interrupted put of this very content. Who loses
 * a race, or repeats a put that had arrived, compares again.
 */
async function putNew(
  archive: Archive,
  settings: ArchiveSettings,
  file: LocalFile,
  cut: readonly ObjectInfo[],
  signal: AbortSignal,
): Promise<void> {
  const { name, packed } = file;
  const key = archive.keys.wal(name, settings.codec.suffix);
  const replaced = cut.find((info) => info.key === key);
  try {
    const onlyIf = replaced === undefined ? 'absent' : { etag: replaced.etag };
    await putConfirmed(archive, key, packed, { ...settings.put(name), onlyIf, signal });
  } catch (error) {
    if (!(error instanceof StoreError) || error.failure !== 'conflict') throw error;
    const comparison = await compareStored(archive, await storedForms(archive, name, signal), packed, signal);
    if (comparison.outcome === 'conflict') throw await conflictError(archive, comparison.conflicts[0], file, signal);
    if (comparison.outcome === 'free') throw error;
  }
}

/**
 * | request's field | annotation  | marker in PGDATA | check |
 * |-----------------|-------------|------------------|-------|
 * | true            | any         | any              | yes   |
 * | false           | any         | any              | no    |
 * | unset           | `enabled`   | any              | no    |
 * | unset           | not enabled | there            | yes   |
 * | unset           | not enabled | not there        | no    |
 */
async function wantsEmptyArchive(pgdata: string, request: ArchiveRequest): Promise<boolean> {
  if (request.checkEmptyArchive !== undefined) return request.checkEmptyArchive;
  if (request.cluster.metadata.annotations?.[ANNOTATION_SKIP_EMPTY_ARCHIVE_CHECK] === 'enabled') return false;
  try {
    await access(join(pgdata, EMPTY_ARCHIVE_MARKER));
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** The manager removes it much later; until then each request would ask for a check that finds our own files. */
async function removeMarker(deps: WalArchiverDeps): Promise<void> {
  try {
    await rm(join(deps.pgdata, EMPTY_ARCHIVE_MARKER), { force: true });
  } catch (error) {
    deps.log.warn(`the file is stored, but ${EMPTY_ARCHIVE_MARKER} could not be removed: ${messageOf(error)}`);
  }
}

function readName(sourceFile: string): WalName {
  const name = parseWalName(basename(sourceFile));
  if (name !== undefined) return name;
  const advice = 'archive a segment, a .partial or .backup file of one, or a .history file';
  throw new InvalidInputError('source_file_name', sourceFile, advice);
}

function noStore(cluster: Cluster): PreconditionError {
  return new PreconditionError(`Cluster ${cluster.metadata.name} names no ObjectStore to archive to`, {
    hint: `set parameters.${PARAMETER_OBJECT_STORE} in the enabled entry ${PLUGIN_NAME} of spec.plugins`,
  });
}

/** Row 4 of cnpg-i-contract.md §9.2: archiving although not declared is a policy, so it is said, once. */
function noteRole(log: Log, cluster: Cluster): void {
  log.warn(
    `Cluster ${cluster.metadata.name} does not set isWALArchiver: true for ${PLUGIN_NAME}: WAL is archived all the same; ` +
      'to pause archiving annotate the Cluster with cnpg.io/skipWalArchiving=enabled',
  );
}

type NoteOnce = (topic: string, note: () => void) => void;

function once(): NoteOnce {
  const noted = new Set<string>();
  return (topic, note) => {
    if (noted.has(topic)) return;
    noted.add(topic);
    note();
  };
}
