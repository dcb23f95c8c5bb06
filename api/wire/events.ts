// Events of a process that serves many Clusters, for people who look with kubectl before they look into a log. Where the
// API server does not let us write them, they are off and one line says so.
import { createHash } from 'node:crypto';
import { messageOf } from '../errors.ts';
import type { Cluster } from '../kube.ts';
import { CNPG_GROUP, CNPG_VERSION, PLUGIN_NAME, SIDECAR_CONTAINER } from '../names.ts';
import type { Log } from './log.ts';

/** An Event of the core API as it is first written. */
export type EventDocument = {
  apiVersion: 'v1';
  kind: 'Event';
  metadata: { namespace: string; name: string };
  involvedObject: { apiVersion: string; kind: string; name: string; namespace: string; uid?: string };
  type: 'Warning';
  reason: string;
  message: string;
  source: { component: string };
  reportingComponent: string;
  reportingInstance: string;
  firstTimestamp: string;
  lastTimestamp: string;
  count: number;
};

/** What a repetition changes. */
export type EventRepetition = { count: number; lastTimestamp: string };

/** The two calls that this takes; both throw what the client throws. */
export type EventPort = {
  create(event: EventDocument): Promise<void>;
  repeat(namespace: string, name: string, repetition: EventRepetition): Promise<void>;
  /** Tells a refusal for want of rights from other failures. */
  isForbidden(error: unknown): boolean;
};

export type EventWriter = {
  /** Tells a Warning about a Cluster. Returns at once and throws nothing; a Cluster without a namespace is not told of. */
  warn(cluster: Cluster, reason: string, message: string): void;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
};

export type EventWriterOptions = {
  port: EventPort;
  /** Name of this Pod. */
  instance: string;
  log: Log;
  /** Wall clock, milliseconds; for tests. */
  now?: () => number;
};

/** The same message about the same Cluster is written once in so long; what comes between is counted. */
const CALM_MS = 60_000;
/** Rights may be granted later; asking again costs one request. */
const FORBIDDEN_RETRY_MS = 300_000;
/** Beyond so many messages the one told longest ago is forgotten, so that memory does not grow with the Clusters. */
const MAX_KNOWN = 1000;
/** The API server takes no longer ones. */
const MESSAGE_LIMIT = 1024;
/** Names end in a dot and sixteen digits, and may have 253 characters. */
const NAME_LIMIT = 200;

/** Times are of the wall clock, milliseconds. */
type Told = { writtenAtMs: number; count: number; firstTimestamp: string; created: boolean };

/**
 * Makes the writer. One Event object for each Cluster, reason and message: repeated, its count and its last time change, so
 * that hours of trouble leave one line and not hundreds. Nothing that goes wrong reaches the caller: the log has said the
 * same already.
 */
export function createEventWriter({ port, instance, log, now = Date.now }: EventWriterOptions): EventWriter {
  const known = new Map<string, Told>();
  let writing: Promise<void> = Promise.resolve();
  let offUntilMs = -Infinity;
  let saidForbidden = false;

  return {
    warn(cluster, reason, message) {
      const { namespace } = cluster.metadata;
      const timeMs = now();
      if (!namespace || timeMs < offUntilMs) return;
      const name = nameOf(cluster, namespace, [reason, message, instance]);
      const timestamp = new Date(timeMs).toISOString().replace(/\.\d+Z$/, 'Z');
      const told = known.get(name) ?? { writtenAtMs: -Infinity, count: 0, firstTimestamp: timestamp, created: false };
      remember(name, told);
      told.count += 1;
      if (timeMs - told.writtenAtMs < CALM_MS) return;
      told.writtenAtMs = timeMs;
      const warning: Warning = { cluster, namespace, name, reason, message, instance, timestamp };
      writing = writing.then(() => write(warning, told));
    },
    settled: () => writing,
  };

  /** The last told goes to the end: the first one of a Map is the oldest. */
  function remember(name: string, told: Told): void {
    known.delete(name);
    known.set(name, told);
    const [oldest] = known.keys();
    if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest);
  }

  async function write(warning: Warning, told: Told): Promise<void> {
    const { namespace, name, reason, timestamp: lastTimestamp } = warning;
    try {
      if (told.created) await port.repeat(namespace, name, { count: told.count, lastTimestamp });
      else await port.create(documentOf(warning, told));
      told.created = true;
    } catch (error) {
      // The API server forgets Events after an hour or so: the next one is a new one.
      told.created = false;
      if (!port.isForbidden(error)) {
        log.info({ reason }, `an Event could not be written: ${messageOf(error)}`);
        return;
      }
      offUntilMs = now() + FORBIDDEN_RETRY_MS;
      if (!saidForbidden) log.info('Events are not written: this service account may not create and patch them');
      saidForbidden = true;
    }
  }
}

type Warning = {
  cluster: Cluster;
  namespace: string;
  name: string;
  reason: string;
  message: string;
  instance: string;
  timestamp: string;
};

function documentOf(warning: Warning, told: Told): EventDocument {
  const { cluster, namespace, name, reason, message, instance, timestamp } = warning;
  const { metadata, apiVersion = `${CNPG_GROUP}/${CNPG_VERSION}`, kind = 'Cluster' } = cluster;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { namespace, name },
    involvedObject: {
      ...{ apiVersion, kind, name: metadata.name, namespace },
      ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
    },
    type: 'Warning',
    reason,
    message: message.slice(0, MESSAGE_LIMIT),
    source: { component: SIDECAR_CONTAINER },
    reportingComponent: PLUGIN_NAME,
    reportingInstance: instance,
    firstTimestamp: told.firstTimestamp,
    lastTimestamp: timestamp,
    count: told.count,
  };
}

/** Unique among Clusters, messages, replicas and their restarts, and a legal name. */
function nameOf(cluster: Cluster, namespace: string, facts: readonly string[]): string {
  const identity = [namespace, cluster.metadata.uid ?? cluster.metadata.name, ...facts, process.pid, STARTED_AT];
  const digest = createHash('sha256').update(identity.join('\n')).digest('hex').slice(0, 16);
  return `${cluster.metadata.name.slice(0, NAME_LIMIT)}.${digest}`;
}

const STARTED_AT = performance.timeOrigin;
