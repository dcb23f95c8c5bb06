// Credentials that end on a day that they tell: announced ahead of time.
import type { Log } from '../../api/wire/log.ts';

const HOUR_MS = 3_600_000;
/** So long before the end it is announced. */
const AHEAD_MS = 14 * 24 * HOUR_MS;
/** So often it is said again. */
const REPEAT_MS = 12 * HOUR_MS;

/** Says in the log which ObjectStores have credentials that end soon, or have ended. */
export class ExpiryWatch {
  readonly #log: Log;
  readonly #now: () => number;
  readonly #saidAt = new Map<string, number>();

  /** `now`: clock, milliseconds since the epoch; for tests. */
  constructor(log: Log, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
  }

  /** Looks at one ObjectStore. Cheap: to be called at every use. New credentials are looked at anew. */
  check(objectStore: string, expiresAt: Date | undefined): void {
    if (expiresAt === undefined) return;
    const remainingMs = expiresAt.getTime() - this.#now();
    if (remainingMs > AHEAD_MS) return;
    const which = `${objectStore} ${expiresAt.getTime()}`;
    if (this.#now() - (this.#saidAt.get(which) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS) return;
    this.#saidAt.set(which, this.#now());
    const end = expiresAt.toISOString();
    const text =
      remainingMs > 0
        ? `the credentials of the object store expire in ${Math.floor(remainingMs / HOUR_MS)} hours: put new ones into the Secret before then`
        : 'the credentials of the object store have expired: put new ones into the Secret';
    this.#log.warn({ objectStore, expiresAt: end }, text);
  }
}
