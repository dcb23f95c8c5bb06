// One bzip2 stream, its blocks packed by several threads.
import { returnBlock } from '../blocks.ts';
import { PacedTransform } from '../paced.ts';
import { BitJoiner } from './bits.ts';
import type { PackedBlock } from './block-coder.ts';
import { RunPacker } from './runs.ts';
import type { BlockWorkers } from './workers.ts';

/** What the format's own writer leaves free at the end of a block. */
const SPARE_BYTES = 19;
/** So that no thread waits while the pieces of the last one are written. */
const AHEAD = 1;

type Answer = { buffer: ArrayBuffer; result: PackedBlock };

/**
 * Packs what flows through into one stream of blocks of `level` times 100,000 bytes. The threads set the pace. Memory: one
 * buffer of 1.2 MB (of which as much is used as a block has) for each thread and two more.
 */
export class Bzip2Encoder extends PacedTransform {
  readonly #workers: BlockWorkers;
  readonly #limitBytes: number;
  readonly #joiner = new BitJoiner();
  readonly #packing: Promise<Answer>[] = [];
  readonly #runs: RunPacker;
  #buffer: ArrayBuffer;
  #checksum = 0;

  constructor(workers: BlockWorkers, level: number) {
    super();
    this.#workers = workers;
    this.#limitBytes = level * 100_000;
    this.#buffer = workers.take();
    this.#runs = new RunPacker(new Uint8Array(this.#buffer), this.#limitBytes - SPARE_BYTES);
    this.push(Buffer.from(`BZh${level}`));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const block of this.#packing.splice(0)) {
      block.then(
        ({ buffer }) => this.#workers.release(buffer),
        () => {},
      );
    }
    callback(error);
  }

  protected override async accept(chunk: Buffer): Promise<void> {
    let at = this.#runs.fill(chunk, 0);
    while (at < chunk.length) {
      this.#dispatch();
      if (this.#packing.length > this.#workers.parallel + AHEAD) await this.#writeFirst();
      at = this.#runs.fill(chunk, at);
    }
    returnBlock(chunk);
  }

  protected override async finish(): Promise<void> {
    this.#dispatch();
    while (this.#packing.length > 0) await this.#writeFirst();
    this.#workers.release(this.#buffer);
    const end = Buffer.from('177245385090'.padEnd(20, '0'), 'hex');
    end.writeUInt32BE(this.#checksum, 6);
    this.push(this.#joiner.append(end, 80));
    this.push(this.#joiner.end());
  }

  #dispatch(): void {
    const next = this.#workers.take();
    const full = this.#buffer;
    const sizeBytes = this.#runs.finish(new Uint8Array(next));
    this.#buffer = next;
    if (sizeBytes === 0) {
      this.#workers.release(full);
      return;
    }
    const block = this.#workers.pack(full, sizeBytes, this.#limitBytes);
    // It is awaited later, in its turn.
    block.catch(() => {});
    this.#packing.push(block);
  }

  async #writeFirst(): Promise<void> {
    const block = this.#packing.shift();
    if (block === undefined) return;
    const { buffer, result } = await block;
    await this.give(this.#joiner.append(new Uint8Array(buffer), result.bits));
    this.#checksum = combineChecksums(this.#checksum, result.checksum);
    this.#workers.release(buffer);
  }
}

/** The stream's checksum after another block. */
export function combineChecksums(stream: number, block: number): number {
  return (((stream << 1) | (stream >>> 31)) ^ block) >>> 0;
}
