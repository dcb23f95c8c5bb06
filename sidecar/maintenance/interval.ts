// How long to wait between two rounds (objectstore-and-injection.md §9.4, rule B20). Pure.
import type { ObjectStore } from '../../api/objectstore.ts';

/** After trouble, and where a setting says nothing sensible: five minutes. */
export const RETRY_MS = 5 * 60_000;

const DEFAULT_SECONDS = 1800;

/**
 * | `retentionPolicyIntervalSeconds` | pause          |
 * |----------------------------------|----------------|
 * | absent                           | half an hour   |
 * | 0 or negative                    | five minutes   |
 * | any other                        | that long      |
 */
export function intervalMs({ spec }: ObjectStore): number {
  const seconds = spec.instanceSidecarConfiguration?.retentionPolicyIntervalSeconds ?? DEFAULT_SECONDS;
  return seconds > 0 ? seconds * 1000 : RETRY_MS;
}
