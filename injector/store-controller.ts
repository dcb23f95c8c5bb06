// What follows from a change of an ObjectStore: the Roles that grant it are kept current, and the Clusters whose Pods it
// shapes are reconciled (objectstore-and-injection.md §7.2; the usage page: changes take effect at the next reconciliation).
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { messageOf, PreconditionError } from '../api/errors.ts';
import type { Cluster } from '../api/kube.ts';
import { ANNOTATION_SIDECAR_SETTINGS, OBJECTSTORE_PLURAL } from '../api/names.ts';
import type { ObjectStore } from '../api/objectstore.ts';
import { referencedStores, resolveParameters } from '../api/parameters.ts';
import type { Log } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';
import type { Feed, FeedObject } from './feed.ts';
import { MissingObjectError, type StoreReads } from './reads.ts';
import { type Role, rulesOf } from './role.ts';

export type ControllerPort = {
  /** Roles of a namespace that carry our label. */
  labelledRoles(namespace: string): Promise<Role[]>;
  /** False when it has changed since it was read. */
  replaceRole(role: Role): Promise<boolean>;
  clusters(namespace: string): Promise<Cluster[]>;
  /** Sets one annotation. Throws PreconditionError where that is not allowed. */
  annotate(cluster: Cluster, annotations: Record<string, string>): Promise<void>;
};

export type StoreDocument = ObjectStore & FeedObject;

export type ControllerDeps = {
  stores: Feed<StoreDocument>;
  /** Always asks the API server. */
  reads: Pick<StoreReads, 'objectStore'>;
  port: ControllerPort;
  log: Log;
  /** First pause before work that failed is done again, ms; doubles. */
  retryMs?: number;
};

const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 300_000;
/** How often somebody else may write a Role faster than we. */
const ATTEMPTS = 5;

/** The changed stores of a namespace; true: their Clusters' Pods change with them. */
type Work = { namespace: string; stores: Map<string, boolean>; failures: number };

/**
 * Follows changes from now on, beginning with every store that is known. One namespace at a time, because its Roles are listed
 * at once; work that fails is repeated with growing pauses, together with what has changed meanwhile.
 */
export function startStoreController(deps: ControllerDeps): Running {
  const { stores, log, retryMs = RETRY_MS } = deps;
  const waiting = new Map<string, Work>();
  const stop = new AbortController();
  let mayAnnotate = true;
  let running: Promise<void> | undefined;
  const timers = new Set<NodeJS.Timeout>();

  const enqueue = ({ namespace, stores: changed, failures }: Work): void => {
    if (stop.signal.aborted) return;
    const work = waiting.get(namespace) ?? { namespace, stores: new Map(), failures };
    for (const [name, reshaped] of changed) work.stores.set(name, reshaped || work.stores.get(name) === true);
    waiting.set(namespace, work);
    running ??= drain();
  };

  async function drain(): Promise<void> {
    for (const [key, work] of waiting) {
      if (stop.signal.aborted) return;
      waiting.delete(key);
      try {
        await keepRolesCurrent(deps, work);
        if (mayAnnotate) await nudgeClusters(work);
      } catch (error) {
        const names = [...work.stores.keys()];
        log.warn(
          { namespace: work.namespace, stores: names, error: messageOf(error) },
          'changed ObjectStores could not be followed yet',
        );
        const pauseMs = Math.min(LONGEST_RETRY_MS, retryMs * 2 ** work.failures);
        const timer = setTimeout(() => {
          timers.delete(timer);
          enqueue({ ...work, failures: work.failures + 1 });
        }, pauseMs);
        timers.add(timer.unref());
      }
    }
    // In the same turn as the last look at what waits: nothing can come in between and wait for nobody.
    running = undefined;
  }

  /** Where Clusters may not be listed or touched, it is said once and not tried again. */
  async function nudgeClusters(work: Work): Promise<void> {
    try {
      await touchClusters(work);
    } catch (error) {
      if (error instanceof MissingObjectError || !(error instanceof PreconditionError)) throw error;
      mayAnnotate = false;
      log.info(`changed sidecar settings wait for the operator's next reconciliation: ${error.message}`);
    }
  }

  async function touchClusters({ namespace, stores: changed }: Work): Promise<void> {
    const reshaped = [...changed].flatMap(([name, isReshaped]) => (isReshaped ? [name] : []));
    if (reshaped.length === 0) return;
    for (const cluster of await deps.port.clusters(namespace)) {
      const store = reshaped.find((name) => usesStore(cluster, name));
      if (store === undefined) continue;
      await deps.port.annotate(cluster, { [ANNOTATION_SIDECAR_SETTINGS]: digestOf(stores.get(namespace, store)) });
      log.info({ namespace, cluster: cluster.metadata.name, store }, 'asked for the reconciliation of a Cluster');
    }
  }

  const leave = stores.onChange(({ object, was, removed }) => {
    if (!removed && was !== undefined && was.metadata.generation === object.metadata.generation) return;
    const { namespace = '', name } = object.metadata;
    const reshaped = !removed && was !== undefined && digestOf(was) !== digestOf(object);
    enqueue({ namespace, stores: new Map([[name, reshaped]]), failures: 0 });
  });
  for (const { metadata } of stores.all()) {
    enqueue({ namespace: metadata.namespace ?? '', stores: new Map([[metadata.name, false]]), failures: 0 });
  }
  return {
    async stop() {
      leave();
      stop.abort();
      for (const timer of timers) clearTimeout(timer);
      await running;
    },
  };
}

/** Rules only: labels, owner and everything else of a Role are the Pre hook's. */
async function keepRolesCurrent({ port, reads, log }: ControllerDeps, { namespace, stores }: Work): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    let collided = false;
    // Most Roles of a namespace grant the same few stores.
    const known = new Map<string, Promise<ObjectStore | undefined>>();
    const read = (store: string): Promise<ObjectStore | undefined> => {
      const found = known.get(store) ?? unlessMissing(reads.objectStore(namespace, store));
      known.set(store, found);
      return found;
    };
    for (const role of await port.labelledRoles(namespace)) {
      const granted = storesOf(role);
      const store = granted.find((name) => stores.has(name));
      if (store === undefined) continue;
      const found = await Promise.all(granted.map(read));
      const rules = rulesOf(found.filter((one) => one !== undefined));
      if (isDeepStrictEqual(rules, role.rules)) continue;
      if (!(await port.replaceRole({ ...role, rules }))) collided = true;
      else log.info({ namespace, role: role.metadata.name, store }, 'the Role follows the changed ObjectStore');
    }
    if (!collided) return;
  }
  throw new Error(`the Roles that grant it changed ${ATTEMPTS} times while they were being written`);
}

async function unlessMissing(read: Promise<ObjectStore>): Promise<ObjectStore | undefined> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof MissingObjectError) return undefined;
    throw error;
  }
}

function storesOf(role: Role): string[] {
  return (role.rules ?? []).find(({ resources }) => resources.includes(OBJECTSTORE_PLURAL))?.resourceNames ?? [];
}

function usesStore(cluster: Cluster, name: string): boolean {
  return referencedStores(resolveParameters(cluster)).includes(name);
}

/** Of what shapes a Pod: its sidecar's settings, and the CA that is mounted. */
function digestOf(store: ObjectStore | undefined): string {
  const { instanceSidecarConfiguration, configuration } = store?.spec ?? {};
  const shape = JSON.stringify([instanceSidecarConfiguration, configuration?.endpointCA]);
  return createHash('sha256').update(shape).digest('hex').slice(0, 16);
}
