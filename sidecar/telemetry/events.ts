// Events on the Cluster, for people who look with kubectl before they look into a log. The operator's own Role lets the
// Pod create and patch them (objectstore-and-injection.md §9.5).
import { createHash } from 'node:crypto';
import { messageOf } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { CNPG_GROUP, CNPG_VERSION, PLUGIN_NAME, SIDECAR_CONTAINER } from '../../api/names.ts';
import type { KubeClient } from '../../api/wire/kube.ts';
import type { Log } from '../../api/wire/log.ts';

/** Why something was told; a person can select by it: `kubectl get events --field-selector reason=…`. */
export const EVENT_REASONS = [
  'OwnershipConflict',
  'NotDeclaredWalArchiver',
  'ArchivingFailed',
  'ArchivingResumed',
  'WalRestoreWaiting',
  'WalOverwritten',
  'BackupFailed',
  'BackupStoreIgnored',
  'RetentionPolicyFailed',
  'DamagedPages',
] as const;

export type EventReason = (typeof EVENT_REASONS)[number];

export type Events = {
  /**
   * Tells a Warning about a Cluster. Returns at once, throws nothing; the log has said the same already. True when it goes
   * out, false when it is only counted because the same was told a moment ago.
   */
  warn(cluster: Cluster, reason: EventReason, message: string): boolean;
  /** Tells good news, however soon: for the end of something that `warn` has told. */
  inform(cluster: Cluster, reason: EventReason, message: string): void;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
};

/** Tells nobody: for places without an API server. */
export const NO_EVENTS: Events = { warn: () => false, inform: () => undefined, settled: async () => undefined };

export type EventsDeps = {
  kube: Pick<KubeClient, 'request'>;
  namespace: string;
  podName: string;
  log: Log;
  /** Wall clock, milliseconds; for tests. */
  now?: () => number;
};

/** The same reason on the same Cluster is written once in so long; what comes between is counted. */
const CALM_MS = 60_000;
/** The API server takes no longer ones. */
const MESSAGE_LIMIT = 1024;

/** `writtenAt` is the wall clock, milliseconds. */
type Told = { writtenAt: number; count: number; firstTimestamp: string; created: boolean };

/**
 * Makes the recorder. One Event object for each Cluster, reason and Pod: repeated, it is patched with its count and its
 * last time, as the client libraries of Kubernetes do, so that hours of trouble leave one line and not hundreds.
 */
export function createEvents(deps: EventsDeps): Events {
  const now = deps.now ?? Date.now;
  const told = new Map<string, Told>();
  let writing: Promise<void> = Promise.resolve();

  /** Whether it goes out. */
  const tell = (cluster: Cluster, type: EventType, reason: EventReason, message: string, calmMs: number): boolean => {
    const name = nameOf(cluster, reason, deps.podName);
    const time = now();
    const timestamp = new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
    const known = told.get(name) ?? { writtenAt: -Infinity, count: 0, firstTimestamp: timestamp, created: false };
    told.set(name, known);
    known.count += 1;
    if (time - known.writtenAt < calmMs) return false;
    known.writtenAt = time;
    const event = { name, cluster, type, reason, message: message.slice(0, MESSAGE_LIMIT), timestamp };
    writing = writing.then(() => write(deps, event, known));
    return true;
  };

  return {
    warn: (cluster, reason, message) => tell(cluster, 'Warning', reason, message, CALM_MS),
    inform: (cluster, reason, message) => void tell(cluster, 'Normal', reason, message, 0),
    settled: () => writing,
  };
}

type EventType = 'Warning' | 'Normal';
type Event = {
  name: string;
  cluster: Cluster;
  type: EventType;
  reason: EventReason;
  message: string;
  timestamp: string;
};

/** An Event that cannot be written is no reason to fail anything: what it says is in the log. */
async function write(deps: EventsDeps, event: Event, told: Told): Promise<void> {
  const path = `/api/v1/namespaces/${encodeURIComponent(deps.namespace)}/events`;
  const { message, timestamp: lastTimestamp } = event;
  try {
    if (told.created) {
      const body = { count: told.count, lastTimestamp, message };
      const contentType = 'application/merge-patch+json';
      await deps.kube.request({ method: 'PATCH', path: `${path}/${event.name}`, body, contentType });
    } else {
      await deps.kube.request({ method: 'POST', path, body: documentOf(deps, event, told) });
      told.created = true;
    }
  } catch (error) {
    // The API server forgets Events after an hour or so: the next one is a new one.
    told.created = false;
    deps.log.info({ reason: event.reason }, `an Event could not be written: ${messageOf(error)}`);
  }
}

function documentOf(deps: EventsDeps, { name, cluster, type, reason, message, timestamp }: Event, told: Told) {
  const { namespace, podName } = deps;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: {
      apiVersion: cluster.apiVersion ?? `${CNPG_GROUP}/${CNPG_VERSION}`,
      kind: cluster.kind ?? 'Cluster',
      name: cluster.metadata.name,
      namespace,
      ...(cluster.metadata.uid === undefined ? {} : { uid: cluster.metadata.uid }),
    },
    type,
    reason,
    message,
    source: { component: SIDECAR_CONTAINER },
    reportingComponent: PLUGIN_NAME,
    reportingInstance: podName,
    firstTimestamp: told.firstTimestamp,
    lastTimestamp: timestamp,
    count: told.count,
  };
}

/** Unique among Clusters, Pods, reasons and processes of a Pod, and a legal name. */
function nameOf(cluster: Cluster, reason: EventReason, podName: string): string {
  const facts = [cluster.metadata.uid ?? '', podName, reason, process.pid, STARTED_AT].join('\n');
  const digest = createHash('sha256').update(facts).digest('hex').slice(0, 16);
  return `${cluster.metadata.name.slice(0, 200)}.${digest}`;
}

const STARTED_AT = performance.timeOrigin;
