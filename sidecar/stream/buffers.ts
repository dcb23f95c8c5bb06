// Buffers that are used again. Fresh ones of this size cost page faults and, because the garbage collector counts them, a
// quarter of the processor time of archiving.

/** After so long without use the memory is given back. */
const QUIET_MS = 30_000;

/** Lends buffers of some size or more; keeps those that come back, at most `most` of them. */
export class BufferPool {
  readonly #most: number;
  #free: Buffer[] = [];
  #quiet: NodeJS.Timeout | undefined;

  constructor(most: number) {
    this.#most = most;
  }

  /** A buffer of at least `sizeBytes`, its content left over from whoever had it. */
  take(sizeBytes: number): Buffer {
    const at = this.#free.findIndex((buffer) => buffer.length >= sizeBytes);
    const [buffer] = at < 0 ? [] : this.#free.splice(at, 1);
    return buffer ?? Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Takes a buffer back that nobody reads or writes any more; what somebody may still use is simply not given back. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#most) this.#free.push(buffer);
    this.#quiet ??= setTimeout(() => this.#giveUp(), QUIET_MS).unref();
    this.#quiet.refresh();
  }

  #giveUp(): void {
    this.#quiet = undefined;
    this.#free = [];
  }
}
