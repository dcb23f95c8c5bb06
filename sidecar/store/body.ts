// Bodies that cannot be short without a word, both ways.
import { type Readable, Transform, type TransformCallback } from 'node:stream';
import { CorruptError } from '../../api/errors.ts';
import type { BodyDigests } from './digests.ts';

/** Sees what passes, and says in the end what was wrong with it. */
export type BodyCheck = { update(bytes: Uint8Array): void; problem(): Error | undefined };

/**
 * The body of a get: passes bytes on, fails with what `fail` makes of any error, of an end before `sizeBytes`, of more
 * than that, and of what `check` finds. Destroying it releases the connection; the reader sets the pace.
 */
export function receivedBody(
  source: Readable,
  sizeBytes: number,
  fail: (cause: unknown) => Error,
  signal?: AbortSignal,
  check?: BodyCheck,
): Readable {
  let received = 0;
  const abort = () => body.destroy(fail(signal?.reason));
  signal?.addEventListener('abort', abort, { once: true });
  const body = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      received += chunk.length;
      check?.update(chunk);
      callback(null, chunk);
    },
    flush(callback) {
      const short =
        received === sizeBytes ? undefined : new Error(`body ended after ${received} of ${sizeBytes} bytes`);
      const problem = short ?? check?.problem();
      callback(problem === undefined ? null : fail(problem));
    },
    destroy(error, callback) {
      signal?.removeEventListener('abort', abort);
      source.destroy();
      callback(error);
    },
  });
  // A failure before anybody listens must not end the process; who reads later still gets it.
  body.on('error', () => undefined);
  source.on('error', (error) => body.destroy(fail(error)));
  source.on('close', () => {
    if (!source.readableEnded)
      body.destroy(fail(new Error(`connection closed after ${received} of ${sizeBytes} bytes`)));
  });
  return source.pipe(body);
}

/**
 * A stream for a put that must have exactly the announced length: a request must not wait for bytes that never come. Digests
 * what passes; the request sets the pace.
 */
export class ExactLength extends Transform {
  readonly #sizeBytes: number;
  readonly #digests: BodyDigests;
  #seen = 0;

  constructor(sizeBytes: number, digests: BodyDigests) {
    super();
    this.#sizeBytes = sizeBytes;
    this.#digests = digests;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#seen += chunk.length;
    if (this.#seen > this.#sizeBytes) {
      callback(this.#mismatch('more than'));
      return;
    }
    this.#digests.update(chunk);
    callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    callback(this.#seen === this.#sizeBytes ? null : this.#mismatch(`${this.#seen} of`));
  }

  #mismatch(found: string): CorruptError {
    return new CorruptError(
      `the source has ${found} the ${this.#sizeBytes} bytes announced: it changed while it was read`,
    );
  }
}
