// Trouble is waited out: to PostgreSQL a failed restore call and a missing file look the same.
import { setTimeout } from 'node:timers/promises';
import { messageOf, StoreError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';

export type Patience = {
  /** Wait between tries: doubled from the first to the longest, the actual one drawn between half and all of it. */
  firstWaitMs: number;
  longestWaitMs: number;
  /** Outside a recovery: how long trouble is waited out. */
  limitMs: number;
  /** How often one line of log says that it lasts. */
  logEveryMs: number;
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
};

export const DEFAULT_PATIENCE: Patience = {
  firstWaitMs: 200,
  longestWaitMs: 5_000,
  limitMs: 60_000,
  logEveryMs: 60_000,
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    await setTimeout(ms, undefined, { signal });
  },
};

export type PersistOptions = {
  inRecovery: boolean;
  signal: AbortSignal;
  patience: Patience;
  log: Log;
  what: string;
  /** Told of each failure that is waited out. */
  onWait?: (failure: unknown) => void;
};

/**
 * Repeats work until it answers.
 *
 * | failure                             | in a recovery           | elsewhere                                    |
 * |-------------------------------------|-------------------------|----------------------------------------------|
 * | store throttles, network is broken  | until the caller leaves | up to `limitMs`, then the last error         |
 * | anything else (refused, missing     | until the caller leaves | at once                                      |
 * | Secret, nothing decodes, disk full) |                         |                                              |
 *
 * In a recovery every error would end it early and lose the WAL that follows, and somebody can still repair a policy, a
 * Secret or an object meanwhile.
 */
export async function persist<T>(work: () => Promise<T>, options: PersistOptions): Promise<T> {
  const { inRecovery, signal, patience, log, what, onWait } = options;
  const startedAt = patience.now();
  let saidAt = Number.NEGATIVE_INFINITY;
  for (
    let tries = 1, waitMs = patience.firstWaitMs;
    ;
    tries += 1, waitMs = Math.min(2 * waitMs, patience.longestWaitMs)
  ) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const elapsedMs = patience.now() - startedAt;
      if (!inRecovery && !(isTransient(error) && elapsedMs + waitMs < patience.limitMs)) throw error;
      onWait?.(error);
      if (patience.now() - saidAt >= patience.logEveryMs) {
        saidAt = patience.now();
        log.warn({ tries, seconds: Math.round(elapsedMs / 1000) }, `${what} waits: ${messageOf(error)}`);
      }
    }
    await pause(waitMs * (0.5 + Math.random() / 2), signal, patience);
  }
}

async function pause(ms: number, signal: AbortSignal, patience: Patience): Promise<void> {
  try {
    await patience.sleep(ms, signal);
  } catch (error) {
    // The timer's own AbortError would hide why.
    signal.throwIfAborted();
    throw error;
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof StoreError && error.retriable;
}
