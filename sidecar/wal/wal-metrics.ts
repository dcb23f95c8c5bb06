// What is counted about WAL. Names are stable: dashboards and alerts rely on them (docs/metrics.md lists them).
import type { WalName } from '../../api/wal-name.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type WalMetrics = ReturnType<typeof createWalMetrics>;

/** Declares them. `now` is the wall clock, milliseconds. */
export function createWalMetrics(metrics: Metrics, now: () => number = Date.now) {
  return {
    lastArchived: declareLastArchived(metrics, now),
    oldestReady: declareOldestReady(metrics, now),
    archivedFiles: metrics.counter('cellar_wal_archived_files_total', 'WAL files that this sidecar has stored.'),
    alreadyStoredFiles: metrics.counter(
      'cellar_wal_already_stored_files_total',
      'WAL files asked for that the store held already, with the same content.',
    ),
    rawBytes: metrics.counter('cellar_wal_archived_raw_bytes_total', 'Bytes of stored WAL files before packing.'),
    storedBytes: metrics.counter('cellar_wal_archived_stored_bytes_total', 'Bytes of stored WAL files as stored.'),
    archiveSeconds: metrics.counter(
      'cellar_wal_archive_seconds_total',
      'Seconds that the WAL files took that this sidecar has stored, from their begin to the confirmation of the store.',
    ),
    archiveFailures: metrics.counter(
      'cellar_wal_archive_failures_total',
      'Failed attempts to archive a WAL file, by class of failure.',
      ['class'],
    ),
    readyFiles: metrics.gauge(
      'cellar_wal_ready_files',
      'WAL files that wait for archiving, looked at every 15 s and whenever one is asked for.',
    ),
    fastEffort: metrics.gauge(
      'cellar_wal_fast_effort',
      '1 while a backlog makes gzip and zstd pack at their fast level, else 0.',
    ),
    restoredFiles: metrics.counter('cellar_wal_restored_files_total', 'WAL files given back to PostgreSQL.'),
    restoreSeconds: metrics.counter(
      'cellar_wal_restore_seconds_total',
      'Seconds that the WAL files took that were given back to PostgreSQL, waits for the store included.',
    ),
    restoreFailures: metrics.counter(
      'cellar_wal_restore_failures_total',
      'Failed attempts to give back a WAL file, by class of failure; a file that is not there is none.',
      ['class'],
    ),
    restoresWaiting: metrics.gauge(
      'cellar_wal_restores_waiting',
      'Requests for WAL that wait for the store or its settings to be well again.',
    ),
  };
}

/** In numbers, not in a label: a label that changes with each segment would be a new series each time. */
function declareLastArchived(metrics: Metrics, now: () => number) {
  const time = metrics.gauge(
    'cellar_wal_last_archived_timestamp_seconds',
    'When the last WAL file was confirmed by the store, Unix time; 0 before the first one of this process.',
  );
  const timeline = metrics.gauge(
    'cellar_wal_last_archived_timeline',
    'Timeline of the last archived segment; 0 before the first one of this process.',
  );
  const lsn = metrics.gauge(
    'cellar_wal_last_archived_start_lsn_bytes',
    'Where the last archived segment starts, as a number of bytes like an LSN; 0 before the first one of this process.',
  );
  return (name: WalName, sizeBytes: number): void => {
    time.set(now() / 1000);
    if (name.kind !== 'segment') return;
    timeline.set(name.timeline);
    lsn.set(name.log * 2 ** 32 + name.segment * sizeBytes);
  };
}

function declareOldestReady(metrics: Metrics, now: () => number) {
  const age = metrics.gauge(
    'cellar_wal_oldest_ready_seconds',
    'For how long the oldest of the WAL files that wait for archiving has waited; 0 when none waits.',
  );
  let since: number | undefined;
  metrics.beforeSamples(() => age.set(since === undefined ? 0 : Math.max(0, (now() - since) / 1000)));
  return (readyMs: number | undefined): void => {
    since = readyMs;
  };
}
