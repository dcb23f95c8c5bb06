// Limits of our own for callers that set none.
import { messageOf, StoreError } from '../../api/errors.ts';
import type { WalName } from '../../api/wal-name.ts';

export type LimitedWork<T> = (signal: AbortSignal, note: (failure: unknown) => void) => Promise<T>;

/** Bounds each piece of work in time, more tightly once the process has been told to stop. */
export class Limit {
  readonly #limitMs: number;
  readonly #stopMs: number;
  readonly #stopping = new AbortController();

  constructor(limitMs: number, stopMs: number) {
    this.#limitMs = limitMs;
    this.#stopMs = stopMs;
  }

  /**
   * Runs work under a caller's signal and the limits; past one of them a StoreError that says so, worth a retry, and
   * with the last failure that the work has noted.
   */
  async run<T>(name: WalName, signal: AbortSignal, work: LimitedWork<T>): Promise<T> {
    let last: unknown;
    const note = (failure: unknown) => {
      last = failure;
    };
    const limit = AbortSignal.timeout(this.#limitMs);
    const stopping = this.#stopping.signal;
    try {
      return await work(AbortSignal.any([signal, limit, stopping]), note);
    } catch (error) {
      if (signal.aborted || !(limit.aborted || stopping.aborted)) throw error;
      const when = stopping.aborted
        ? `no confirmation from the store within ${this.#stopMs / 1000} s after the sidecar was told to stop`
        : `no confirmation from the store within ${this.#limitMs / 1000} s`;
      const reason = last === undefined ? when : `${when}; the last failure was: ${messageOf(last)}`;
      const facts = { provider: 'store', operation: 'archive', key: name.name, reason };
      throw new StoreError({ failure: 'broken', ...facts }, { cause: error });
    }
  }

  /** The process was told to stop: what runs has the shorter limit from now on. Does not keep the process alive. */
  hurry(): void {
    setTimeout(() => this.#stopping.abort(), this.#stopMs).unref();
  }
}
