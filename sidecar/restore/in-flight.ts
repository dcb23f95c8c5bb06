// Files that are still on their way to the disk while the reader goes on: so many at a time, the first failure kept.
import { Slots } from '../wal/slots.ts';

/** Open at a time. */
const MOST_FILES = 32;
/**
 * Synced at a time. The file system joins syncs that come together, which many small files live on; but each holds one of
 * libuv's threads for as long as the disk takes, and unpacking needs the other two of the image's eight.
 */
const MOST_SYNCS = 6;

/** One for a whole restore. */
export class InFlight {
  readonly #running = new Set<Promise<void>>();
  readonly #syncs = new Slots(MOST_SYNCS);
  readonly #signal: AbortSignal;
  #failure: { error: unknown } | undefined;

  /** When the signal is aborted, what has not been synced is left so. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Resolves when one more file may be opened. Throws the first failure of those before. */
  async room(): Promise<void> {
    while (this.#running.size >= MOST_FILES) await Promise.race(this.#running);
    this.#throwFailure();
  }

  /** Follows the work on a file. */
  follow(work: Promise<void>): void {
    const followed: Promise<void> = work
      .catch((error) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#running.delete(followed));
    this.#running.add(followed);
  }

  sync(file: { sync(): Promise<void> }): Promise<void> {
    return this.#syncs.run(this.#signal, () => file.sync());
  }

  /** Waits for all of them. Throws the first failure. */
  async finish(): Promise<void> {
    await this.settle();
    this.#throwFailure();
  }

  /** Waits for all of them. Never throws. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
