// For the few requests that must not be cut off in the middle, because somebody has to clean up after what they did.
import { setTimeout } from 'node:timers/promises';

const GRACE_MS = 5_000;

/** A signal that follows another one some time later. `release` it when the work is done. */
export function withGrace(signal: AbortSignal | undefined): { signal: AbortSignal; release: () => void } {
  const late = new AbortController();
  const released = new AbortController();
  const follow = () => {
    setTimeout(GRACE_MS, undefined, { signal: released.signal }).then(
      () => late.abort(signal?.reason),
      () => undefined,
    );
  };
  if (signal?.aborted) follow();
  else signal?.addEventListener('abort', follow, { once: true });
  const release = () => {
    released.abort();
    signal?.removeEventListener('abort', follow);
  };
  return { signal: late.signal, release };
}
