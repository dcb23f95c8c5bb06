// Equal blocks of a stream, packed several at a time, handed on in order.
import { availableParallelism } from 'node:os';
import { BufferPool } from './buffers.ts';
import { PacedTransform } from './paced.ts';

export type BlockFormat = {
  /** Size of every block but the last, bytes. */
  blockBytes: number;
  begin(): Buffer;
  /** What `bytes`, which stay unchanged until the answer, become. Called in order. */
  pack(bytes: Buffer): Promise<Buffer>;
  end(): Buffer;
};

/** Bounds memory where there are many cores. */
const MOST_AT_ONCE = 8;

/** Shared by all streams of the process: as many as eight of them use on two cores. */
const BLOCKS = new BufferPool(24);

/** Memory: for each core, and one more, a block and what it becomes. The packers set the pace. */
export class BlockEncoder extends PacedTransform {
  readonly #format: BlockFormat;
  readonly #parallel = Math.min(MOST_AT_ONCE, availableParallelism());
  readonly #packing: Promise<Buffer>[] = [];
  #block: Buffer | undefined;
  #filled = 0;

  constructor(format: BlockFormat) {
    super();
    this.#format = format;
    this.push(format.begin());
  }

  protected override async accept(chunk: Buffer): Promise<void> {
    let at = 0;
    while (at < chunk.length) {
      this.#block ??= BLOCKS.take(this.#format.blockBytes);
      const room = this.#format.blockBytes - this.#filled;
      const copied = chunk.copy(this.#block, this.#filled, at, at + room);
      at += copied;
      this.#filled += copied;
      if (this.#filled === this.#format.blockBytes) await this.#dispatch(this.#block);
    }
  }

  protected override async finish(): Promise<void> {
    if (this.#block !== undefined && this.#filled > 0) await this.#dispatch(this.#block);
    while (this.#packing.length > 0) await this.#giveFirst();
    this.push(this.#format.end());
  }

  async #dispatch(block: Buffer): Promise<void> {
    const packing = this.#format.pack(block.subarray(0, this.#filled)).then((packed) => {
      BLOCKS.give(block);
      return packed;
    });
    // It is awaited later, in its turn.
    packing.catch(() => {});
    this.#packing.push(packing);
    this.#block = undefined;
    this.#filled = 0;
    if (this.#packing.length > this.#parallel) await this.#giveFirst();
  }

  async #giveFirst(): Promise<void> {
    const first = this.#packing.shift();
    if (first !== undefined) await this.give(await first);
  }
}
