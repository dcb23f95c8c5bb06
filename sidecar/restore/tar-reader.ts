// Reads a tar as the last stage of a pipeline, entry by entry, and insists on its end marker.
import { Writable } from 'node:stream';
import { type Extract, extract, type Header } from 'tar-stream';
import { CorruptError } from '../../api/errors.ts';

export type TarMember = { header: Header; content: AsyncIterable<Buffer> };

const END_MARKER = Buffer.alloc(1024);

/**
 * A writable that hands over each entry and waits until it was dealt with; the handler must read the content to its
 * end. Fails with CorruptError for what is no tar or not a whole one, else with what the handler threw.
 */
export class TarReader extends Writable {
  readonly #extract: Extract = extract();
  #handlerError: Error | undefined;
  #tail: Buffer = Buffer.alloc(0);

  constructor(handle: (member: TarMember) => Promise<void>) {
    super();
    this.#extract.on('entry', (header, stream, next) => {
      // Its reader hears of a failure when it reads on; without a listener the process would end before.
      stream.on('error', () => {});
      const content = stream as AsyncIterable<Buffer>;
      handle({ header, content }).then(
        () => next(),
        (error) => {
          this.#handlerError = error;
          next(error);
        },
      );
    });
    this.#extract.on('error', (error) => this.destroy(this.#handlerError ?? corrupt(error)));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#tail = chunk.length >= END_MARKER.length ? chunk : Buffer.concat([this.#tail, chunk]);
    this.#tail = this.#tail.subarray(-END_MARKER.length);
    if (this.#extract.write(chunk)) callback();
    else this.#extract.once('drain', () => callback());
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#tail.equals(END_MARKER)) {
      callback(new CorruptError('the tar ends before its end marker'));
      return;
    }
    this.#extract.once('finish', () => callback());
    this.#extract.end(null);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#extract.destroy(error);
    callback(error);
  }
}

function corrupt(error: Error): CorruptError {
  return new CorruptError(`not a whole tar: ${error.message}`, { cause: error });
}
