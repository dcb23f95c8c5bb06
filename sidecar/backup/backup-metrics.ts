// What is counted about base backups. Names are stable: dashboards and alerts rely on them (docs/metrics.md lists them).
import { classOf } from '../telemetry/failure-class.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { BackupProgress, TakenBackup } from './take.ts';

type Sizes = Pick<TakenBackup, 'readBytes' | 'storedBytes'>;

/**
 * Declares them, and counts what a taker takes. `progress` says how far the backup that runs has come; it is asked at each
 * scrape, so it must be cheap.
 */
export function countingBackups<Request, Taken extends Sizes>(
  metrics: Metrics,
  taker: { take: (request: Request) => Promise<Taken>; progress: () => BackupProgress | undefined },
  now: () => number = Date.now,
): (request: Request) => Promise<Taken> {
  const completed = metrics.counter('cellar_backups_completed_total', 'Base backups that this instance has completed.');
  const failures = metrics.counter(
    'cellar_backup_failures_total',
    'Base backups of this instance that failed, by class of failure.',
    ['class'],
  );
  declareProgress(metrics, taker.progress, now);
  const last = declareLast(metrics);

  return async (request) => {
    const startedMs = now();
    try {
      const taken = await taker.take(request);
      completed.add();
      last((now() - startedMs) / 1000, taken);
      return taken;
    } catch (error) {
      failures.add([classOf(error)]);
      throw error;
    }
  };
}

/** All 0 while no backup runs. */
function declareProgress(metrics: Metrics, progress: () => BackupProgress | undefined, now: () => number): void {
  const running = metrics.gauge('cellar_backup_running', '1 while this instance takes a base backup, else 0.');
  const seconds = metrics.gauge(
    'cellar_backup_running_seconds',
    'How long the base backup that runs has taken so far.',
  );
  const copied = metrics.gauge('cellar_backup_copied_bytes', 'Bytes that the base backup that runs has read so far.');
  const files = metrics.gauge('cellar_backup_copied_files', 'Files that the base backup that runs has read so far.');
  const total = metrics.gauge(
    'cellar_backup_total_bytes',
    'Bytes that the base backup that runs will read, as PostgreSQL estimated them; 0 while unknown.',
  );
  const rate = metrics.gauge(
    'cellar_backup_bytes_per_second',
    'Bytes that the base backup that runs has read in each second so far.',
  );
  metrics.beforeSamples(() => {
    const current = progress();
    running.set(current === undefined ? 0 : 1);
    seconds.set(current === undefined ? 0 : (now() - current.startedAt.getTime()) / 1000);
    copied.set(current?.sizeBytes ?? 0);
    files.set(current?.files ?? 0);
    total.set(current?.totalBytes ?? 0);
    rate.set(current?.bytesPerSecond ?? 0);
  });
}

/** All 0 before the first backup of this process. */
function declareLast(metrics: Metrics): (seconds: number, sizes: Sizes) => void {
  const duration = metrics.gauge(
    'cellar_backup_last_duration_seconds',
    'How long the last completed base backup took, its wait for WAL included.',
  );
  const read = metrics.gauge('cellar_backup_last_read_bytes', 'Bytes that the last completed base backup has read.');
  const stored = metrics.gauge('cellar_backup_last_stored_bytes', 'Bytes of the last completed base backup as stored.');
  const rate = metrics.gauge(
    'cellar_backup_last_bytes_per_second',
    'Bytes that the last completed base backup has read in each second of its duration.',
  );
  return (seconds, { readBytes, storedBytes }) => {
    duration.set(seconds);
    read.set(readBytes);
    stored.set(storedBytes);
    rate.set(seconds > 0 ? readBytes / seconds : 0);
  };
}
