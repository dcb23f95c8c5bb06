// A limit of bytes a second, kept smoothly: `--max-bandwidth` (object-store-layout.md §5.5).
import { setTimeout } from 'node:timers/promises';

export type Pace = {
  /** Resolves when so many bytes may go on. Throws the signal's reason. */
  pass(sizeBytes: number, signal: AbortSignal): Promise<void>;
};

/** Clock and sleep, in milliseconds. */
export type PaceClock = { nowMs(): number; sleep(ms: number, signal: AbortSignal): Promise<void> };

/** One pace for all that share a target, for as long as the target lives. */
const paces = new WeakMap<object, Pace>();

/** The pace of whatever shares this target; undefined when it has no limit. */
export function paceOf(target: { maxBytesPerSecond?: number }): Pace | undefined {
  if (target.maxBytesPerSecond === undefined) return undefined;
  const pace = paces.get(target) ?? createPace(target.maxBytesPerSecond);
  paces.set(target, pace);
  return pace;
}

/**
 * Lets each piece go when those before it have taken their time at `bytesPerSecond`. What was not used while nothing came is
 * lost: there are no bursts, whoever shares the pace.
 */
export function createPace(bytesPerSecond: number, clock: PaceClock = CLOCK): Pace {
  let freeAtMs = Number.NEGATIVE_INFINITY;
  return {
    pass: async (sizeBytes, signal) => {
      signal.throwIfAborted();
      const nowMs = clock.nowMs();
      const startsAtMs = Math.max(nowMs, freeAtMs);
      freeAtMs = startsAtMs + (sizeBytes / bytesPerSecond) * 1000;
      if (startsAtMs > nowMs) await clock.sleep(startsAtMs - nowMs, signal);
    },
  };
}

const CLOCK: PaceClock = {
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await setTimeout(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  },
};
