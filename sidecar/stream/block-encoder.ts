// Blocks of a stream, packed several at a time, handed on in order.
import { availableParallelism } from 'node:os';
import { BLOCK_BYTES, isLent, lendBlock, returnBlock } from './blocks.ts';
import { PacedTransform } from './paced.ts';

export type BlockFormat = {
  begin(): Buffer;
  /** What `bytes` (1 to BLOCK_BYTES of them, which stay unchanged until the answer) become. Called in order. */
  pack(bytes: Buffer): Promise<Buffer>;
  end(): Buffer;
};

/** Bounds memory where there are many cores. */
const MOST_AT_ONCE = 8;

/**
 * Cuts into blocks of BLOCK_BYTES; lent blocks are packed as they come, without a copy, and returned. Memory: for each core,
 * and one more, a block and what it becomes. The packers set the pace.
 */
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
    if (this.#filled === 0 && isLent(chunk)) {
      await this.#dispatch(chunk);
      return;
    }
    for (let at = 0; at < chunk.length; ) {
      this.#block ??= lendBlock();
      const copied = chunk.copy(this.#block, this.#filled, at);
      at += copied;
      this.#filled += copied;
      if (this.#filled === BLOCK_BYTES) await this.#dispatchOwn();
    }
    returnBlock(chunk);
  }

  protected override async finish(): Promise<void> {
    await this.#dispatchOwn();
    while (this.#packing.length > 0) await this.#giveFirst();
    this.push(this.#format.end());
  }

  async #dispatchOwn(): Promise<void> {
    const block = this.#block?.subarray(0, this.#filled);
    this.#block = undefined;
    this.#filled = 0;
    if (block !== undefined) await this.#dispatch(block);
  }

  async #dispatch(block: Buffer): Promise<void> {
    const packing = this.#format.pack(block).then((packed) => {
      returnBlock(block);
      return packed;
    });
    // It is awaited later, in its turn.
    packing.catch(() => {});
    this.#packing.push(packing);
    if (this.#packing.length > this.#parallel) await this.#giveFirst();
  }

  async #giveFirst(): Promise<void> {
    const first = this.#packing.shift();
    if (first !== undefined) await this.give(await first);
  }
}
