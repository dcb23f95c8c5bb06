// Counts and hashes what flows through, unchanged.
import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';

/** A pass-through that counts bytes and takes their SHA-256. The pace is set by its neighbours. */
export class Digest extends Transform {
  readonly #hash = createHash('sha256');
  #sizeBytes = 0;
  #hex: string | undefined;

  /** Bytes seen so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** SHA-256 in lower-case hex; throws as long as the stream has not ended. */
  get hex(): string {
    if (this.#hex === undefined) throw new Error('the digest is known only after the stream has ended');
    return this.#hex;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#hash.update(chunk);
    this.#sizeBytes += chunk.length;
    callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    this.#hex = this.#hash.digest('hex');
    callback();
  }
}
