// bzip2's first step: a run of 4 to 255 equal bytes becomes four of them and a count of the others.

/** Behind four equal bytes. */
const LARGEST_COUNT = 251;

/** Fills one block after the other with runs. */
export class RunPacker {
  readonly #limitBytes: number;
  #block: Uint8Array;
  #sizeBytes = 0;
  #byte = -1;
  /** Bytes of the present run that are written, 4 at most. */
  #length = 0;
  /** Those behind the fourth: they become one byte. */
  #count = 0;

  constructor(block: Uint8Array, limitBytes: number) {
    this.#block = block;
    this.#limitBytes = limitBytes;
  }

  /** Takes bytes from `from` on until the block is full; returns the index after the last one taken. */
  fill(bytes: Uint8Array, from: number): number {
    const block = this.#block;
    // Room for the count of a run that has just become four.
    const last = this.#limitBytes - 1;
    const end = bytes.length;
    let size = this.#sizeBytes;
    let byte = this.#byte;
    let length = this.#length;
    let at = from;
    while (at < end) {
      if (length === 4) {
        let count = this.#count;
        while (at < end && count < LARGEST_COUNT && bytes[at] === byte) {
          count++;
          at++;
        }
        this.#count = count;
        if (at === end) break;
        block[size++] = count;
        this.#count = 0;
        byte = -1;
        length = 0;
      }
      while (at < end && size < last) {
        const next = bytes[at++] ?? 0;
        block[size++] = next;
        if (next !== byte) {
          byte = next;
          length = 1;
        } else if (++length === 4) break;
      }
      if (size >= last && length < 4) break;
    }
    this.#sizeBytes = size;
    this.#byte = byte;
    this.#length = length;
    return at;
  }

  /** Ends the block and begins the next in `block`; returns the size of the ended one, 0 when there is nothing. */
  finish(block: Uint8Array): number {
    if (this.#length === 4) this.#block[this.#sizeBytes++] = this.#count;
    const size = this.#sizeBytes;
    this.#block = block;
    this.#sizeBytes = 0;
    this.#byte = -1;
    this.#length = 0;
    this.#count = 0;
    return size;
  }
}

/** Reads the runs of one block piece by piece, so that a block of zeros (45 MB) needs no more memory than another. */
export class RunExpander {
  readonly #block: Uint8Array;
  #at = 0;
  #byte = -1;
  #length = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  /** Fills `piece`, 256 bytes or more, as far as runs fit; returns how many bytes, 0 at the end. */
  read(piece: Uint8Array): number {
    const block = this.#block;
    const end = block.length;
    const full = piece.length - LARGEST_COUNT;
    let at = this.#at;
    let byte = this.#byte;
    let length = this.#length;
    let size = 0;
    while (at < end && size < full) {
      const next = block[at++] ?? 0;
      if (length === 4) {
        piece.fill(byte, size, size + next);
        size += next;
        length = 0;
        byte = -1;
        continue;
      }
      piece[size++] = next;
      if (next === byte) length++;
      else {
        byte = next;
        length = 1;
      }
    }
    this.#at = at;
    this.#byte = byte;
    this.#length = length;
    return size;
  }
}
