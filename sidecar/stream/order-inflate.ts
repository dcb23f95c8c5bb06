// Inflates raw deflate in order, at the pace of whoever takes the output: a thousand bytes may come of one.
import { createInflateRaw, type InflateRaw } from 'node:zlib';
import { CorruptError, messageOf } from '../../api/errors.ts';
import { provesDamage } from './zlib-corrupt.ts';

const CHUNK_BYTES = 256 * 1024;

/** One deflate stream. Memory: two pieces of 256 KiB, however much the input stands for. */
export class OrderInflate {
  readonly #inflate: InflateRaw;
  #wake: () => void = () => {};
  #error: Error | undefined;
  #ended = false;

  /** `window`: what was unpacked before, of which the last 32 KiB may be referred to. */
  constructor(window: Buffer) {
    this.#inflate = createInflateRaw({
      ...{ chunkSize: CHUNK_BYTES, readableHighWaterMark: CHUNK_BYTES },
      ...(window.length === 0 ? {} : { dictionary: window }),
    });
    const wake = () => this.#wake();
    this.#inflate
      .on('readable', wake)
      .on('end', () => {
        this.#ended = true;
        wake();
      })
      .on('error', (error) => {
        this.#error = error;
        wake();
      });
  }

  /**
   * Takes some input, which must stand until the answer, and gives what comes of it. `ended` when the last block is done;
   * only then `usedBytes` may be less than all. Throws CorruptError.
   */
  async feed(input: Buffer, give: (output: Buffer) => Promise<void>): Promise<{ ended: boolean; usedBytes: number }> {
    const inflate = this.#inflate;
    const before = inflate.bytesWritten;
    let taken = false;
    inflate.write(input, () => {
      taken = true;
      this.#wake();
    });
    for (;;) {
      const output: Buffer | null = inflate.read();
      if (output !== null) await give(output);
      else if (this.#error !== undefined) throw corrupt(this.#error);
      else if (this.#ended) return { ended: true, usedBytes: inflate.bytesWritten - before };
      // Input that was not used means that the end is on its way.
      else if (taken && inflate.bytesWritten - before === input.length) {
        return { ended: false, usedBytes: input.length };
      } else await this.#event();
    }
  }

  destroy(): void {
    this.#inflate.destroy();
    this.#wake();
  }

  #event(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function corrupt(error: Error): CorruptError {
  const facts = { cause: error, certain: provesDamage(error) };
  return new CorruptError(`gzip content is damaged: ${messageOf(error)}`, facts);
}
