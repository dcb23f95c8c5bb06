// What has come of a stream and is still needed.

/** Appending copies only what is appended, most of the time; a view given out earlier holds until the next append. */
export class HeldBytes {
  #store: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;

  /** A view of all that is held. */
  get bytes(): Buffer {
    return this.#store.subarray(this.#start, this.#end);
  }

  get sizeBytes(): number {
    return this.#end - this.#start;
  }

  append(chunk: Buffer): void {
    const needed = this.sizeBytes + chunk.length;
    if (this.#end + chunk.length > this.#store.length) {
      // Twice as much as needed: the next move is as far away as this one was dear.
      const store = this.#store.length >= 2 * needed ? this.#store : Buffer.allocUnsafeSlow(2 * needed);
      this.#store.copy(store, 0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
      this.#store = store;
    }
    chunk.copy(this.#store, this.#end);
    this.#end += chunk.length;
  }

  /** Lets go of the first `countBytes` bytes. */
  drop(countBytes: number): void {
    this.#start += countBytes;
  }
}
