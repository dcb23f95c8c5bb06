// Shows a server's recovery window: in the status of its ObjectStore, and in the gauges.
import type { RecoveryWindow } from '../../api/objectstore.ts';
import type { KubeClient } from '../../api/wire/kube.ts';
import type { RecoveryWindowPatch } from '../../api/wire/kube-status.ts';
import type { CatalogEntry } from '../backup/catalog.ts';
import { recoveryWindow } from '../backup/recovery-window.ts';
import type { Archive } from '../store/archive.ts';

export type WindowReport = {
  /** What the status says already: for instances that do not look into the store themselves. */
  show(archive: Archive): void;
  /** What the catalog says; `entries` in its order. Writes the status when it says something else. */
  publish(archive: Archive, entries: readonly CatalogEntry[]): Promise<void>;
  /** A backup failed at a time, with or without a record of it in the store. */
  publishFailure(archive: Archive, time: Date): Promise<void>;
};

export type WindowReportDeps = {
  kube: Pick<KubeClient, 'patchObjectStoreStatus'>;
  namespace: string;
  show: (window: RecoveryWindow) => void;
};

/** Makes the reporter. Its methods throw what the API server answers, after the gauges have been set. */
export function createWindowReport(deps: WindowReportDeps): WindowReport {
  const write = async (archive: Archive, window: RecoveryWindow): Promise<void> => {
    deps.show(window);
    const patch = difference(knownWindow(archive), window);
    if (patch === undefined) return;
    const { name } = archive.objectStore.metadata;
    await deps.kube.patchObjectStoreStatus(deps.namespace, name, archive.serverName, patch);
  };
  return {
    show: (archive) => deps.show(knownWindow(archive)),
    publish: (archive, entries) => write(archive, mergeWindow(knownWindow(archive), entries)),
    publishFailure: (archive, time) => write(archive, { ...knownWindow(archive), lastFailedBackupTime: rfc3339(time) }),
  };
}

function knownWindow({ objectStore, serverName }: Archive): RecoveryWindow {
  return objectStore.status?.serverRecoveryWindow?.[serverName] ?? {};
}

/** The catalog's word counts, but a failure that left no record is remembered. */
function mergeWindow(known: RecoveryWindow, entries: readonly CatalogEntry[]): RecoveryWindow {
  const { firstRecoverabilityPoint, lastSuccessfulBackupTime, lastFailedBackupTime } = recoveryWindow(entries);
  const knownFailure = Date.parse(known.lastFailedBackupTime ?? '');
  const isNewer = lastFailedBackupTime !== undefined && !(knownFailure >= lastFailedBackupTime.getTime());
  const failure = isNewer ? rfc3339(lastFailedBackupTime) : known.lastFailedBackupTime;
  return {
    ...(firstRecoverabilityPoint === undefined ? {} : { firstRecoverabilityPoint: rfc3339(firstRecoverabilityPoint) }),
    ...(lastSuccessfulBackupTime === undefined ? {} : { lastSuccessfulBackupTime: rfc3339(lastSuccessfulBackupTime) }),
    ...(failure === undefined ? {} : { lastFailedBackupTime: failure }),
  };
}

/** Only what changes: two writers of different fields, or of different servers, never meet. */
function difference(known: RecoveryWindow, window: RecoveryWindow): RecoveryWindowPatch | undefined {
  const patch: RecoveryWindowPatch = {};
  for (const field of ['firstRecoverabilityPoint', 'lastSuccessfulBackupTime', 'lastFailedBackupTime'] as const) {
    if (known[field] !== window[field]) patch[field] = window[field] ?? null;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** Seconds: the API server keeps no smaller ones. */
function rfc3339(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
