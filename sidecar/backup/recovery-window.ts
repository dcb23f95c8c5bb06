// What a person sees of a server's catalog: how far back a recovery reaches, and how the last backups ended
// (object-store-layout.md §7.2). Pure.
import type { CatalogEntry } from './catalog.ts';
import { type Micros, toDate } from './timestamp.ts';

export type RecoveryWindowFacts = {
  /** When the oldest finished backup ended. */
  firstRecoverabilityPoint: Date | undefined;
  /** When the newest finished backup ended. */
  lastSuccessfulBackupTime: Date | undefined;
  /** When the newest backup failed that left a record; when it began, where it does not say when it ended. */
  lastFailedBackupTime: Date | undefined;
};

/** `entries` are in the catalog's order. */
export function recoveryWindow(entries: readonly CatalogEntry[]): RecoveryWindowFacts {
  const done: (Micros | undefined)[] = [];
  const failed: (Micros | undefined)[] = [];
  for (const entry of entries) {
    if (entry.state === 'done') done.push(entry.info.endTime);
    if (entry.state === 'other' && entry.info.status === 'FAILED') {
      failed.push(entry.info.endTime ?? entry.info.beginTime);
    }
  }
  return {
    firstRecoverabilityPoint: dateOf(done[0]),
    lastSuccessfulBackupTime: dateOf(done.at(-1)),
    lastFailedBackupTime: dateOf(failed.at(-1)),
  };
}

function dateOf(micros: Micros | undefined): Date | undefined {
  return micros === undefined ? undefined : toDate(micros);
}
