// Serves PostgreSQL's restore_command (cnpg-i-contract.md §5.3, §9.2 rows 1, 14, 15, 25; object-store-layout.md §3).
import { dirname, join } from 'node:path';
import { InvalidInputError, messageOf, NotFoundError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PARAMETER_OBJECT_STORE } from '../../api/names.ts';
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive, Archives } from '../store/archive.ts';
import { type Events, NO_EVENTS } from '../telemetry/events.ts';
import { classOf } from '../telemetry/failure-class.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { fetchWal } from './fetch.ts';
import { createNoteOnce } from './note-once.ts';
import { DEFAULT_PATIENCE, type Patience, persist } from './persist.ts';
import { Prefetch } from './prefetch.ts';
import { type ReadPlan, storeToRead } from './role.ts';
import { restoreSettings } from './settings.ts';
import { createWalMetrics, type WalMetrics } from './wal-metrics.ts';

export type RestoreRequest = {
  cluster: Cluster;
  /** Bare name of the file wanted. */
  walName: string;
  /** Absolute path to write. */
  destination: string;
  /** Asked by pg_rewind: exactly this file, nothing ahead. */
  rewind: boolean;
  signal: AbortSignal;
};

export type WalRestorer = {
  restore(request: RestoreRequest): Promise<void>;
  /** Removes what an earlier process fetched ahead. Never throws: restores work without. */
  start(): Promise<void>;
  /** Ends fetching ahead; settles when nothing of it runs any more. */
  stop(): Promise<void>;
};

export type WalRestorerDeps = {
  archives: Archives;
  podName: string;
  /** As the injector sets it, on a volume of the Pod's own. We keep a folder beside it, never files in it. */
  spoolDirectory: string;
  log: Log;
  /** Default: told to nobody but the log. */
  events?: Events;
  /** Default: counted for nobody. */
  metrics?: WalMetrics;
  patience?: Patience;
};

/**
 * The Go plugin points archive markers and prefetched WAL at the one spool directory, so that either can be taken for the
 * other (object-store-layout.md §12 row 6).
 */
const PREFETCH_FOLDER = 'cellar-wal-prefetch';

/**
 * What a request is answered. To PostgreSQL every answer but OK is the same (cnpg-i-contract.md §5.3); the codes are for
 * people. Each row is a test in restore-answers.test.ts.
 *
 * |    | asked by                    | situation                              | answer                                  |
 * |----|-----------------------------|----------------------------------------|-----------------------------------------|
 * |  1 | anybody                     | not the name of a WAL file             | INVALID_ARGUMENT                        |
 * |  2 | anybody                     | stored                                 | OK, the file is whole at its destination |
 * |  3 | standby                     | absent                                 | NOT_FOUND: it streams                   |
 * |  4 | designated primary          | absent at its source                   | NOT_FOUND: it streams, or asks again    |
 * |  5 | primary                     | absent                                 | NOT_FOUND: crash recovery ends          |
 * |  6 | bootstrap recovery          | absent                                 | NOT_FOUND: the recovery ends            |
 * |  7 | pg_rewind                   | absent                                 | NOT_FOUND: it gives up                  |
 * |  8 | standby                     | the Cluster has no store of its own    | NOT_FOUND, nothing is asked             |
 * |  9 | bootstrap recovery          | the Cluster names no store to recover from | NOT_FOUND, nothing is asked         |
 * | 10 | standby                     | history of a timeline above the Cluster's | NOT_FOUND, nothing is asked          |
 * | 11 | bootstrap recovery          | any trouble                            | none until it is over or the caller leaves |
 * | 12 | all others                  | throttled, network broken              | UNAVAILABLE after 60 s                  |
 * | 13 | all others                  | refused, settings wrong                | FAILED_PRECONDITION at once             |
 * | 14 | all others                  | nothing stored decodes                 | DATA_LOSS at once                       |
 * | 15 | anybody                     | trouble or absence ahead of the request | as without: it is not the request's     |
 * | 16 | anybody                     | absent before, stored now              | OK: an absence is never remembered      |
 * | 17 | anybody                     | gone before the answer                 | CANCELLED                               |
 *
 * The Go plugin has one more: after a miss ahead of a request it fails the next request once with OUT_OF_RANGE, from a
 * flag in the spool, to spare the standby a slow look. Here a look is one small request, so the true answer is as fast and
 * there is nothing to leave behind: no flag that could outlive its timeline, its role or the process, none that pg_rewind
 * would have to clear, and no need to guess from `connectionParameters` whether the standby can stream.
 */

/**
 * Makes the restorer. `restore` resolves when the file stands at its destination, whole and synced. Throws NotFoundError
 * only when it is positively not there or must not be served, InvalidInputError for a name that is not a WAL file's;
 * trouble is waited out as persist.ts says and then thrown as it came.
 */
export function createWalRestorer(deps: WalRestorerDeps): WalRestorer {
  const { archives, podName, spoolDirectory, log, patience = DEFAULT_PATIENCE } = deps;
  const { events = NO_EVENTS, metrics = createWalMetrics(new Metrics()) } = deps;
  const waits = new Waits(metrics);
  const noteOnce = createNoteOnce();
  const noteIgnored = (reason: string) => noteOnce(reason, () => log.warn(`argument without effect: ${reason}`));
  const prefetch = new Prefetch(join(dirname(spoolDirectory), PREFETCH_FOLDER), log);
  return {
    async restore(request) {
      const startedAt = performance.now();
      const name = readName(request.walName);
      refuseFutureHistory(name, request.cluster, podName);
      const plan = storeToRead(request.cluster, podName);
      const { reference, inRecovery } = plan;
      if (reference === undefined) throw noStore(name, request.cluster, plan);
      const { signal, cluster } = request;
      const wait = waits.one((failure) => {
        if (!inRecovery) return;
        const where = `the recovery of ${cluster.metadata.name} waits for ${name.name}`;
        events.warn(cluster, 'WalRestoreWaiting', `${where}: ${messageOf(failure)}`);
      });
      const served = await persist(
        async () => serve(await archives.open(reference), name, request, prefetch, noteIgnored),
        {
          ...{ inRecovery, signal, patience, log, what: `restore of ${name.name}` },
          onWait: (failure) => wait.because(failure),
        },
      )
        .catch((error: unknown) => {
          if (!signal.aborted) metrics.restoreFailures.add([classOf(error)]);
          throw error;
        })
        .finally(() => wait.over());
      if (!served) {
        throw new NotFoundError(
          `${name.name} is not in the archive of ${reference.serverName} (${reference.objectStore})`,
        );
      }
      const milliseconds = performance.now() - startedAt;
      metrics.restoredFiles.add();
      metrics.restoreSeconds.add([], milliseconds / 1000);
      log.info({ file: name.name, milliseconds: Math.round(milliseconds) }, 'WAL file restored');
    },
    async start() {
      await prefetch.empty().catch((error) => log.warn(`old prefetched WAL cannot be removed: ${messageOf(error)}`));
    },
    stop: () => prefetch.stop(),
  };
}

/** Requests that wait for trouble to be over, as a gauge shows them. */
class Waits {
  readonly #metrics: WalMetrics;
  #waiting = 0;

  constructor(metrics: WalMetrics) {
    this.#metrics = metrics;
  }

  one(tell: (failure: unknown) => void) {
    let waits = false;
    const change = (by: number): void => {
      this.#waiting += by;
      this.#metrics.restoresWaiting.set(this.#waiting);
    };
    return {
      because: (failure: unknown) => {
        if (!waits) change(1);
        waits = true;
        this.#metrics.restoreFailures.add([classOf(failure)]);
        tell(failure);
      },
      over: () => {
        if (waits) change(-1);
      },
    };
  }
}

/** False when the file is positively absent. */
async function serve(
  archive: Archive,
  name: WalName,
  request: RestoreRequest,
  prefetch: Prefetch,
  noteIgnored: (reason: string) => void,
): Promise<boolean> {
  const { destination, rewind, signal } = request;
  const { maxParallel, partial, ignored } = restoreSettings(archive.objectStore);
  for (const reason of ignored) noteIgnored(reason);
  const inSequence = name.kind === 'segment' && !rewind;
  // pg_rewind goes backwards through WAL that nobody replays.
  if (rewind) prefetch.drop();
  if (inSequence) {
    const sizeBytes = await prefetch.take(archive, name.name, destination, signal);
    if (sizeBytes !== undefined) {
      prefetch.follow(archive, name.name, sizeBytes, maxParallel);
      return true;
    }
  }
  const fetched = await fetchWal(archive, name, destination, { signal, partial });
  // Nothing follows a partial segment on its timeline, and its size may not be a segment's.
  if (inSequence && fetched?.kind === 'segment') {
    prefetch.follow(archive, name.name, fetched.sizeBytes, maxParallel);
  }
  return fetched !== undefined;
}

/**
 * A standby that saw the history file of a timeline its primary does not follow would try to switch to it. Newer
 * operators refuse by themselves; the same rule for the others:
 *
 * | Pod is current or target primary | status.timelineID | file's timeline | answer  |
 * |----------------------------------|-------------------|-----------------|---------|
 * | yes                              | any               | any             | served  |
 * | no                               | unset or 0        | any             | served  |
 * | no                               | set               | not above it    | served  |
 * | no                               | set               | above it        | absent  |
 */
function refuseFutureHistory(name: WalName, cluster: Cluster, podName: string): void {
  const { currentPrimary, targetPrimary, timelineID } = cluster.status ?? {};
  if (name.kind !== 'history' || podName === currentPrimary || podName === targetPrimary) return;
  if (!timelineID || name.timeline <= timelineID) return;
  throw new NotFoundError(`${name.name} is not served to a standby: the Cluster is on timeline ${timelineID}`);
}

function readName(walName: string): WalName {
  const name = parseWalName(walName);
  if (name !== undefined) return name;
  throw new InvalidInputError('source_wal_name', walName, 'ask for a segment or a .history file, without a folder');
}

/** Absent rather than misconfigured: a standby without a store of its own simply streams. */
function noStore(name: WalName, cluster: Cluster, plan: ReadPlan): NotFoundError {
  const where = {
    archive: 'the entry of spec.plugins',
    recovery: 'the external cluster of spec.bootstrap.recovery.source',
    replicaSource: 'the external cluster of spec.replica.source',
  }[plan.role];
  return new NotFoundError(
    `${name.name} cannot be in any archive: Cluster ${cluster.metadata.name} sets no ${PARAMETER_OBJECT_STORE} in ${where}`,
  );
}
