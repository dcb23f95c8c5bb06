// A transform that can wait for its reader in the middle of a chunk: little input may stand for much output.
import { Transform, type TransformCallback } from 'node:stream';

/** Subclasses write `accept` and `finish` and hand their output to `give`, which waits while the reader is behind. */
export abstract class PacedTransform extends Transform {
  #resume: (() => void) | undefined;

  /** Works on one chunk of input. */
  protected abstract accept(chunk: Buffer): Promise<void>;
  /** Works on what is left when the input has ended. */
  protected abstract finish(): Promise<void>;

  /** Hands on some output; resolves when more is wanted. */
  protected async give(bytes: Buffer): Promise<void> {
    if (bytes.length === 0 || this.push(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
    });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.accept(chunk).then(() => callback(), callback);
  }

  override _flush(callback: TransformCallback): void {
    this.finish().then(() => callback(), callback);
  }

  override _read(sizeBytes: number): void {
    const resume = this.#resume;
    this.#resume = undefined;
    if (resume === undefined) super._read(sizeBytes);
    else resume();
  }
}
