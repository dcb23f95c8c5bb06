// The three gauges of the Go plugin, under its names: dashboards and alerts rely on them (objectstore-and-injection.md
// §9.5). Unix seconds, 0 while unknown.
import type { RecoveryWindow } from '../../api/objectstore.ts';
import type { Metrics } from '../telemetry/metrics.ts';

const PREFIX = 'barman_cloud_cloudnative_pg_io_';

/** Declares them; the result shows a window in them. */
export function createWindowMetrics(metrics: Metrics): (window: RecoveryWindow) => void {
  const first = metrics.gauge(
    `${PREFIX}first_recoverability_point`,
    'The first point of recoverability for the cluster.',
  );
  const available = metrics.gauge(`${PREFIX}last_available_backup_timestamp`, 'The last available backup.');
  const failed = metrics.gauge(`${PREFIX}last_failed_backup_timestamp`, 'The last failed backup.');
  return (window) => {
    first.set(unixSeconds(window.firstRecoverabilityPoint));
    available.set(unixSeconds(window.lastSuccessfulBackupTime));
    failed.set(unixSeconds(window.lastFailedBackupTime));
  };
}

function unixSeconds(time: string | undefined): number {
  const milliseconds = Date.parse(time ?? '');
  return Number.isNaN(milliseconds) ? 0 : Math.floor(milliseconds / 1000);
}
