// One of several replicas at a time does the work that must not be done twice: who holds the lease. The rules are those of
// Kubernetes' own clients: a lease counts as free when nobody has renewed it for as long as it is good for, by our own clock
// since we saw the last change, so that clocks need not agree.
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, PreconditionError } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';

export type Lease = {
  apiVersion: string;
  kind: 'Lease';
  metadata: { name: string; namespace: string; resourceVersion?: string };
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
};

export type LeasePort = {
  find(namespace: string, name: string): Promise<Lease | undefined>;
  /** False when it exists already. */
  create(lease: Lease): Promise<boolean>;
  /** False when it has changed since it was read. */
  replace(lease: Lease): Promise<boolean>;
};

export type LeaseOptions = {
  port: LeasePort;
  namespace: string;
  name: string;
  /** Unlike that of any other replica: the Pod's name and something of this start. */
  identity: string;
  log: Log;
  /** What only the holder does, from each time it becomes the holder on. Throws nothing. */
  lead: () => Running;
  /** Times of Kubernetes' own clients, ms; for tests. */
  times?: { durationMs: number; renewLimitMs: number; retryMs: number };
  /** Monotonic, ms. */
  now?: () => number;
};

const TIMES = { durationMs: 15_000, renewLimitMs: 10_000, retryMs: 2_000 };

/**
 * Takes part until it is stopped; stopping ends the work first and then gives the lease back, so that the next replica need
 * not wait. A holder that could not renew for `renewLimitMs` stops its work: by then another one may begin. Where leases are
 * forbidden nobody leads here, with one log line.
 */
export function takePart(options: LeaseOptions): Running {
  const { log, lead, times = TIMES, now = () => performance.now() } = options;
  const stop = new AbortController();
  const seen = { version: '', at: 0 };
  let leading: Running | undefined;
  let renewedAt = 0;
  let said = false;

  const resign = async (why: string): Promise<void> => {
    const work = leading;
    leading = undefined;
    if (work === undefined) return;
    log.info({ lease: options.name }, why);
    await work.stop();
  };

  const once = async (): Promise<void> => {
    try {
      if (await tryToHold(options, seen, times, now)) {
        renewedAt = now();
        if (leading === undefined && !stop.signal.aborted) {
          log.info({ lease: options.name, identity: options.identity }, 'this replica leads');
          leading = lead();
        }
        return;
      }
      await resign('another replica leads now');
    } catch (error) {
      if (error instanceof PreconditionError && !said) {
        said = true;
        log.info(`no replica leads, and Roles are kept current by the hooks alone: ${error.message}`);
      } else log.debug({ error: messageOf(error) }, 'the lease could not be read or written');
      if (now() - renewedAt > times.renewLimitMs)
        await resign('this replica could not renew its lease and leads no longer');
    }
  };

  const running = (async () => {
    while (!stop.signal.aborted) {
      await once();
      await delay(times.retryMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    async stop() {
      stop.abort();
      await running;
      const led = leading !== undefined;
      await resign('this replica stops');
      if (led)
        await release(options).catch((error) => log.debug({ error: messageOf(error) }, 'the lease was not released'));
    },
  };
}

/** Whether we hold it now: renewed, taken over, or made. */
async function tryToHold(
  options: LeaseOptions,
  seen: { version: string; at: number },
  times: typeof TIMES,
  now: () => number,
): Promise<boolean> {
  const { port, namespace, name, identity } = options;
  const found = await port.find(namespace, name);
  const time = microTime();
  const leaseDurationSeconds = Math.ceil(times.durationMs / 1000);
  if (found === undefined) {
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds,
      acquireTime: time,
      renewTime: time,
      leaseTransitions: 0,
    };
    return port.create({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec });
  }
  const { spec } = found;
  if (spec.holderIdentity === identity) return port.replace({ ...found, spec: { ...spec, renewTime: time } });
  const version = JSON.stringify(spec);
  if (seen.version !== version) Object.assign(seen, { version, at: now() });
  const goodForMs = (spec.leaseDurationSeconds ?? leaseDurationSeconds) * 1000;
  if (spec.holderIdentity && now() - seen.at < goodForMs) return false;
  return port.replace({
    ...found,
    spec: {
      ...{ holderIdentity: identity, leaseDurationSeconds, acquireTime: time, renewTime: time },
      leaseTransitions: (spec.leaseTransitions ?? 0) + 1,
    },
  });
}

async function release({ port, namespace, name, identity }: LeaseOptions): Promise<void> {
  const found = await port.find(namespace, name);
  if (found?.spec.holderIdentity !== identity) return;
  await port.replace({
    ...found,
    spec: { ...found.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() },
  });
}

/** Kubernetes' MicroTime. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
