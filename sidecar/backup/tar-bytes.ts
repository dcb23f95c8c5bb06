// The bytes of a tar on their way out: blocks, filled in place and handed on one by one.
import { Readable } from 'node:stream';
import { lendBlock } from '../stream/blocks.ts';

/** Filled by one writer, who is held back while the block before the present one has not been taken. */
export class TarBytes extends Readable {
  #block = lendBlock();
  #filled = 0;
  #sizeBytes = 0;
  #isWaiting = false;
  #taken: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: 1 });
    // Failures reach whoever reads or adds; without a listener they would also end the process.
    this.on('error', () => {});
  }

  /** Bytes of the tar so far. */
  get sizeBytes(): number {
    return this.#sizeBytes + this.#filled;
  }

  /** What is free of the present block; it may be empty. */
  get room(): Buffer {
    return this.#block.subarray(this.#filled);
  }

  /** The first bytes of the room hold content. */
  fill(sizeBytes: number): void {
    this.#filled += sizeBytes;
  }

  /** Throws what broke the way out. */
  async write(bytes: Buffer): Promise<void> {
    this.#throwIfBroken();
    for (let at = 0; at < bytes.length; ) {
      if (this.room.length === 0) await this.next();
      const copied = bytes.copy(this.room, 0, at);
      this.fill(copied);
      at += copied;
    }
  }

  /** Hands the present block on, full or not, and begins another. Throws what broke the way out. */
  async next(): Promise<void> {
    await this.#hand();
    this.#block = lendBlock();
  }

  /** Hands on what there is; the bytes end. */
  async end(): Promise<void> {
    if (this.#filled > 0) await this.#hand();
    this.push(null);
  }

  override _read(): void {
    this.#isWaiting = false;
    this.#wake();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#wake();
    callback(error);
  }

  async #hand(): Promise<void> {
    while (this.#isWaiting && !this.destroyed) {
      await new Promise<void>((resolve) => {
        this.#taken = resolve;
      });
    }
    this.#throwIfBroken();
    this.#isWaiting = true;
    this.push(this.#block.subarray(0, this.#filled));
    this.#sizeBytes += this.#filled;
    this.#filled = 0;
  }

  #throwIfBroken(): void {
    if (this.destroyed) throw this.errored ?? new Error('nobody reads this tar any more');
  }

  #wake(): void {
    this.#taken?.();
    this.#taken = undefined;
  }
}
