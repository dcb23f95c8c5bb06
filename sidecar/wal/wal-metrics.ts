// What is counted about WAL. Names are stable: dashboards and alerts rely on them (docs/wal.md lists them).
import {
  CancelledError,
  ConflictError,
  CorruptError,
  InvalidInputError,
  NotFoundError,
  PreconditionError,
  StoreError,
} from '../../api/errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type WalMetrics = ReturnType<typeof createWalMetrics>;

/** Declares them. */
export function createWalMetrics(metrics: Metrics) {
  return {
    archivedFiles: metrics.counter('cellar_wal_archived_files_total', 'WAL files that this sidecar has stored.'),
    alreadyStoredFiles: metrics.counter(
      'cellar_wal_already_stored_files_total',
      'WAL files asked for that the store held already, with the same content.',
    ),
    rawBytes: metrics.counter('cellar_wal_archived_raw_bytes_total', 'Bytes of stored WAL files before packing.'),
    storedBytes: metrics.counter('cellar_wal_archived_stored_bytes_total', 'Bytes of stored WAL files as stored.'),
    archiveFailures: metrics.counter(
      'cellar_wal_archive_failures_total',
      'Failed attempts to archive a WAL file, by class of failure.',
      ['class'],
    ),
    readyFiles: metrics.gauge(
      'cellar_wal_ready_files',
      'WAL files that waited for archiving when the last one was asked for.',
    ),
    fastEffort: metrics.gauge(
      'cellar_wal_fast_effort',
      '1 while a backlog makes gzip and zstd pack at their fast level, else 0.',
    ),
    restoredFiles: metrics.counter('cellar_wal_restored_files_total', 'WAL files given back to PostgreSQL.'),
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

/** The class of a failure, as label: the store's own classes, and one for each error that a caller tells apart. */
export function classOf(error: unknown): string {
  if (error instanceof StoreError) return error.failure;
  const [, name] = CLASSES.find(([kind]) => error instanceof kind) ?? [];
  return name ?? 'internal';
}

const CLASSES = [
  [ConflictError, 'conflict_of_data'],
  [CorruptError, 'corrupt'],
  [PreconditionError, 'precondition'],
  [InvalidInputError, 'invalid_input'],
  [NotFoundError, 'not_found'],
  [CancelledError, 'cancelled'],
] as const;
