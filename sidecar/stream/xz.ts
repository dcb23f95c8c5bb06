// xz through liblzma (lzma-native): one stream out; streams and legacy .lzma content in.
import type { Transform } from 'node:stream';
import { CorruptError, messageOf } from '../../api/errors.ts';
import { codecLibrary } from './libraries.ts';
import { PacedTransform } from './paced.ts';

/** Barman's default level. */
const DEFAULT_LEVEL = 3;
const MAGIC = Buffer.from('fd377a585a00', 'hex');
/** What is fed at a time: it can become some thousand times as much, all of it at once. */
const BITE_BYTES = 2 * 1024;
/** What level 9 of the format needs to be read, and some more. */
const READ_MEMORY_BYTES = 256 * 1024 * 1024;

/** Writes one stream with CRC-64. Level 1 to 9, default 3; memory 32 MiB at level 3, 674 MiB at level 9. */
export function xzEncoder(options?: { level?: number }): Transform {
  const preset = Math.min(9, Math.max(1, Math.trunc(options?.level ?? DEFAULT_LEVEL)));
  return new LzmaStage(async () => {
    const { default: lzma } = await codecLibrary('xz');
    return lzma.createStream('easyEncoder', { preset, check: lzma.CHECK_CRC64 });
  });
}

/** Reads streams; CorruptError on truncation and damage; bytes after the last stream are ignored, as barman's reader does. */
export function xzDecoder(): Transform {
  return new LzmaStage(async () => {
    const { default: lzma } = await codecLibrary('xz');
    return lzma.createStream('autoDecoder', { memlimit: READ_MEMORY_BYTES });
  }, 'strict');
}

/** liblzma's stage inside of ours: it is loaded at first use, and its errors become ours. */
class LzmaStage extends PacedTransform {
  readonly #create: () => Promise<Transform>;
  readonly #reads: boolean;
  #inner: Transform | undefined;
  readonly #outputs: Buffer[] = [];
  #start: Buffer = Buffer.alloc(0);
  #failure: Error | undefined;
  #ignoring = false;

  constructor(create: () => Promise<Transform>, direction?: 'strict') {
    super();
    this.#create = create;
    this.#reads = direction === 'strict';
  }

  protected override async accept(chunk: Buffer): Promise<void> {
    if (this.#start.length < MAGIC.length) this.#start = Buffer.concat([this.#start, chunk.subarray(0, MAGIC.length)]);
    const inner = await this.#open();
    for (let at = 0; at < chunk.length && !this.#ignoring; at += BITE_BYTES) {
      const bite = chunk.subarray(at, at + BITE_BYTES);
      await this.#call(inner, (done) => inner.write(bite, done));
      await this.#giveOutputs();
    }
  }

  protected override async finish(): Promise<void> {
    const inner = await this.#open();
    if (!this.#ignoring) {
      await this.#call(inner, (done) => {
        inner.once('end', done);
        inner.end();
      });
    }
    await this.#giveOutputs();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#inner?.destroy();
    callback(error);
  }

  async #open(): Promise<Transform> {
    if (this.#inner !== undefined) return this.#inner;
    const inner = await this.#create();
    inner.on('data', (output: Buffer) => this.#outputs.push(output));
    inner.on('error', (error) => {
      this.#failure ??= error;
    });
    this.#inner = inner;
    return inner;
  }

  /** Waits for the call's end or for a failure, whichever comes first. */
  async #call(inner: Transform, start: (done: () => void) => void): Promise<void> {
    if (this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          inner.off('error', done).off('end', done);
          resolve();
        };
        inner.once('error', done);
        start(done);
      });
    }
    if (this.#failure !== undefined) this.#judge(this.#failure);
  }

  #judge(failure: Error): void {
    if (!this.#reads) throw failure;
    const foreign = failure.name === 'LZMA_FORMAT_ERROR';
    // No known start where another stream could begin: something follows the last one.
    if (foreign && this.#start.subarray(0, MAGIC.length).equals(MAGIC)) this.#ignoring = true;
    else {
      const certain = /^LZMA_(DATA|FORMAT|BUF)_ERROR$/.test(failure.name);
      throw new CorruptError(`not whole, clean xz content: ${messageOf(failure)}`, { cause: failure, certain });
    }
  }

  async #giveOutputs(): Promise<void> {
    for (const output of this.#outputs.splice(0)) await this.give(output);
  }
}
