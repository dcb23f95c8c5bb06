// What a format says of a whole body, without letting go of the body at the first bad byte.
import { once } from 'node:events';
import { type Transform, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { CorruptError } from '../../api/errors.ts';
import type { Codec } from './codec.ts';

/** Takes a body to its end, whatever the decoder says of it, and keeps what it said. The decoder sets the pace. */
export class DecodeVerdict extends Writable {
  /** Whether the format said for certain that the content is not whole and clean. */
  failed = false;
  receivedBytes = 0;
  readonly #decoder: Transform;
  readonly #ended: Promise<void>;

  constructor(codec: Codec) {
    super();
    this.#decoder = codec.decoder();
    this.#decoder.resume();
    this.#ended = finished(this.#decoder).catch((error: unknown) => {
      if (!(error instanceof CorruptError)) throw error;
      this.failed = error.certain;
    });
    // It is awaited at the end.
    this.#ended.catch(() => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.receivedBytes += chunk.length;
    if (this.#decoder.destroyed || this.#decoder.write(chunk)) {
      callback();
      return;
    }
    const goOn = () => callback();
    Promise.race([once(this.#decoder, 'drain'), this.#ended]).then(goOn, goOn);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#decoder.end();
    this.#ended.then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#decoder.destroy();
    callback(error);
  }
}
