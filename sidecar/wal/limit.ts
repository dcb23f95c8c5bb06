// Limits of our own for callers that set none.
import { StoreError } from '../../api/errors.ts';
import type { WalName } from '../../api/wal-name.ts';

/** Bounds each piece of work in time, more tightly once the process has been told to stop. */
export class Limit {
  readonly #limitMs: number;
  readonly #stopMs: number;
  readonly #stopping = new AbortController();

  constructor(limitMs: number, stopMs: number) {
    this.#limitMs = limitMs;
    this.#stopMs = stopMs;
  }

  /** Runs work under a caller's signal and the limits; past one of them a StoreError that says so, worth a retry. */
  async run<T>(name: WalName, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = AbortSignal.timeout(this.#limitMs);
    const stopping = this.#stopping.signal;
    try {
      return await work(AbortSignal.any([signal, limit, stopping]));
    } catch (error) {
      if (signal.aborted || !(limit.aborted || stopping.aborted)) throw error;
      const reason = stopping.aborted
        ? `no confirmation from the store within ${this.#stopMs / 1000} s after the sidecar was told to stop`
        : `no confirmation from the store within ${this.#limitMs / 1000} s`;
      const facts = { provider: 'store', operation: 'archive', key: name.name, reason };
      throw new StoreError({ failure: 'broken', ...facts }, { cause: error });
    }
  }

  /** The process was told to stop: what runs has the shorter limit from now on. Does not keep the process alive. */
  hurry(): void {
    setTimeout(() => this.#stopping.abort(), this.#stopMs).unref();
  }
}
