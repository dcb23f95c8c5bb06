// What is counted about catalog maintenance. Names are stable: dashboards and alerts rely on them (docs/metrics.md lists them).
import { classOf } from '../telemetry/failure-class.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export type MaintenanceMetrics = {
  /** A round has ended, well or badly. */
  done(): void;
  /** A round, or the retention policy in it, failed. */
  failed(error: unknown): void;
};

/** Declares them. */
export function createMaintenanceMetrics(metrics: Metrics): MaintenanceMetrics {
  const rounds = metrics.counter(
    'cellar_maintenance_rounds_total',
    'Rounds of catalog maintenance, those that failed included.',
  );
  const failures = metrics.counter(
    'cellar_maintenance_failures_total',
    'Failures of catalog maintenance, by class of failure: of a round, or of the retention policy in it.',
    ['class'],
  );
  return { done: () => rounds.add(), failed: (error) => failures.add([classOf(error)]) };
}
