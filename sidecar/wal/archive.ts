// Archives one WAL file: answered only after the store has confirmed it (object-store-layout.md §2, §12 row 9;
// cnpg-i-contract.md §5.2).
import { basename } from 'node:path';
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_SKIP_WAL_ARCHIVING, PARAMETER_OBJECT_STORE, PLUGIN_NAME } from '../../api/names.ts';
import type { StoreReference } from '../../api/parameters.ts';
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { type Events, NO_EVENTS } from '../telemetry/events.ts';
import { classOf } from '../telemetry/failure-class.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { type ArchiveWork, archiveFile } from './archive-file.ts';
import { createArchivingNews } from './archiving-news.ts';
import { type Effort, nextEffort } from './effort.ts';
import { EmptyArchiveGate } from './empty-archive.ts';
import { Limit } from './limit.ts';
import { LookAhead, readReady } from './look-ahead.ts';
import { removeMarker } from './marker.ts';
import { createNoteOnce } from './note-once.ts';
import { Ownership } from './ownership.ts';
import { DEFAULT_PATIENCE, type Patience } from './persist.ts';
import { storeToWrite } from './role.ts';
import { SingleFlight } from './single-flight.ts';
import { createWalMetrics, type WalMetrics } from './wal-metrics.ts';

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
  /** Default: told to nobody but the log. */
  events?: Events;
  /** Default: counted for nobody. */
  metrics?: WalMetrics;
  /** The caller sets no deadline; ours is two minutes, after which PostgreSQL asks again. */
  limitMs?: number;
  /** The same once the process was told to stop. */
  stopMs?: number;
  /** How trouble of the store is waited out within the limit. */
  patience?: Patience;
};

const DEFAULT_LIMIT_MS = 120_000;
const DEFAULT_STOP_MS = 10_000;

/**
 * Makes the archiver. `archive` resolves after the store has confirmed the file, or has shown that it holds this very
 * content. Throws InvalidInputError for a name that is not a WAL file's, PreconditionError when no store is named or
 * something is missing, ConflictError when another content is stored or the archive is not empty, StoreError else.
 */
export function createWalArchiver(deps: WalArchiverDeps): WalArchiver {
  const { archives, pgdata, log, events = NO_EVENTS, metrics = createWalMetrics(new Metrics()) } = deps;
  const limitMs = deps.limitMs ?? DEFAULT_LIMIT_MS;
  const flights = new SingleFlight<void>();
  const gate = new EmptyArchiveGate();
  const noteOnce = createNoteOnce();
  const news = createArchivingNews(events, log);
  const ahead = new LookAhead(log);
  const backlog = new Backlog(log, metrics);
  const work: ArchiveWork = {
    ...{ pgdata, log, gate, noteOnce, events, metrics },
    doubted: new Set(),
    ownership: new Ownership(pgdata, log),
    effort: () => backlog.effort,
    patience: { ...(deps.patience ?? DEFAULT_PATIENCE), limitMs },
  };
  const limit = new Limit(limitMs, deps.stopMs ?? DEFAULT_STOP_MS);
  const archiveOnce = (archive: Archive, request: ArchiveRequest, name: WalName, signal: AbortSignal, note: Note) =>
    flights.run(`${archive.location}\n${request.sourceFile}`, signal, (shared) =>
      archiveFile(work, request, archive, name, shared, note),
    );

  async function archiveRequested(request: ArchiveRequest, reference: StoreReference): Promise<void> {
    const { sourceFile } = request;
    const name = readName(sourceFile);
    const ready = await readReady(sourceFile);
    backlog.note(ready.length);
    const archiveAhead = async (aheadFile: string) => {
      const next = { ...request, sourceFile: aheadFile, checkEmptyArchive: false };
      await limit.run(readName(aheadFile), NEVER, async (signal, note) =>
        archiveOnce(await archives.open(reference), next, readName(aheadFile), signal, note),
      );
    };
    await limit.run(name, request.signal, async (signal, note) => {
      const archive = await archives.open(reference);
      const known = gate.owns(archive);
      if (known) ahead.fill(archive, sourceFile, ready, archiveAhead);
      if (await ahead.claim(archive, sourceFile)) {
        await removeMarker(deps);
        return;
      }
      const joins = ahead.isRunning(archive, sourceFile);
      try {
        await archiveOnce(archive, request, name, signal, note);
      } catch (error) {
        if (!joins || signal.aborted) throw error;
        await archiveOnce(archive, request, name, signal, note);
      }
      if (!known && gate.owns(archive)) ahead.fill(archive, sourceFile, ready, archiveAhead);
    });
  }

  return {
    async archive(request) {
      try {
        const { reference, declared } = storeToWrite(request.cluster);
        if (reference === undefined) throw noStore(request.cluster);
        if (!declared) noteOnce('role', () => noteRole(log, events, request.cluster));
        await archiveRequested(request, reference);
        news.succeeded(request.cluster);
      } catch (error) {
        if (!request.signal.aborted) {
          metrics.archiveFailures.add([classOf(error)]);
          news.failed(request.cluster, error);
        }
        throw error;
      }
    },
    hurry() {
      ahead.stop();
      limit.hurry();
    },
  };
}

type Note = (failure: unknown) => void;

/** What goes ahead belongs to no caller. */
const NEVER = new AbortController().signal;

/** How many files wait, and the effort that follows from it. */
class Backlog {
  effort: Effort = 'good';
  readonly #log: Log;
  readonly #metrics: WalMetrics;

  constructor(log: Log, metrics: WalMetrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  note(waitingFiles: number): void {
    const next = nextEffort(this.effort, waitingFiles);
    if (next !== this.effort) this.#log.debug({ waitingFiles }, `gzip and zstd pack with ${next} effort from now on`);
    this.effort = next;
    this.#metrics.readyFiles.set(waitingFiles);
    this.#metrics.fastEffort.set(next === 'fast' ? 1 : 0);
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
function noteRole(log: Log, events: Events, cluster: Cluster): void {
  const message =
    `Cluster ${cluster.metadata.name} does not set isWALArchiver: true for ${PLUGIN_NAME}: WAL is archived all the same; ` +
    `to pause archiving annotate the Cluster with ${ANNOTATION_SKIP_WAL_ARCHIVING}=enabled`;
  log.warn(message);
  events.warn(cluster, 'NotDeclaredWalArchiver', message);
}
