// Catalog maintenance: a round now and then, for as long as the sidecar runs.
import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import { RETRY_MS } from './interval.ts';
import type { MaintenanceMetrics } from './maintenance-metrics.ts';

export type Maintenance = {
  /** Starts the loop: its first round comes within half a minute. */
  start(): void;
  /** Ends it, in the middle of a round if need be; resolves when it has ended. */
  stop(): Promise<void>;
};

export type MaintenanceDeps = {
  /** Does a round and returns the pause after it, milliseconds. */
  round: (signal: AbortSignal) => Promise<number>;
  log: Log;
  /** Default: counted for nobody. */
  metrics?: MaintenanceMetrics;
  /** For tests: a pause, and a number from 0 to 1. */
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
  random?: () => number;
};

/** Pods of one node start together: their first rounds do not. */
const START_JITTER_MS = 30_000;
/** Nor do the next ones, of Clusters with one interval. */
const JITTER = 0.1;

/** Makes the loop. A failed round is logged, and the next one comes after five minutes. */
export function createMaintenance(deps: MaintenanceDeps): Maintenance {
  const { round, log, metrics, sleep = pause, random = Math.random } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> = Promise.resolve();

  const loop = async (): Promise<void> => {
    await sleep(START_JITTER_MS * random(), signal);
    for (;;) {
      const pauseMs = await round(signal).catch((error: unknown) => {
        signal.throwIfAborted();
        metrics?.failed(error);
        log.warn({ error: messageOf(error) }, 'catalog maintenance failed; the next round is in five minutes');
        return RETRY_MS;
      });
      metrics?.done();
      await sleep(pauseMs * (1 + JITTER * random()), signal);
    }
  };

  return {
    start() {
      running = loop().catch((error: unknown) => {
        if (!signal.aborted) log.error({ error: messageOf(error) }, 'catalog maintenance has ended');
      });
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** A pause that keeps no process alive. Timers count to 2^31 milliseconds. */
function pause(ms: number, signal: AbortSignal): Promise<unknown> {
  return setTimeout(Math.min(ms, 2 ** 31 - 1), undefined, { signal, ref: false });
}
