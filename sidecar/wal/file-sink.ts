// The end of a pipeline that fills a file which somebody else opened and closes.
import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

const HIGH_WATER_BYTES = 1024 * 1024;

/**
 * Writes to the current position of an open file; what has piled up goes out in one call. A FileHandle's own write stream
 * will not do: with `autoClose: false` it keeps its hold on the handle after it has finished, and `close()` waits forever.
 */
export class FileSink extends Writable {
  /** Bytes taken so far. */
  sizeBytes = 0;
  readonly #file: FileHandle;
  readonly #hash: Hash | undefined;

  /** With `digest` it takes the SHA-256 of what it is given: a stage of its own would cost as much as the hash. */
  constructor(file: FileHandle, options: { digest?: boolean } = {}) {
    super({ highWaterMark: HIGH_WATER_BYTES, decodeStrings: true });
    this.#file = file;
    this.#hash = options.digest ? createHash('sha256') : undefined;
  }

  /** SHA-256 of all that was written, lower-case hex; undefined when it was not asked for. Once, at the end. */
  digest(): string | undefined {
    return this.#hash?.digest('hex');
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    settle(this.#writeAll([chunk]), callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    settle(this.#writeAll(chunks.map(({ chunk }) => chunk)), callback);
  }

  async #writeAll(buffers: Buffer[]): Promise<void> {
    for (const buffer of buffers) {
      this.#hash?.update(buffer);
      this.sizeBytes += buffer.length;
    }
    let left = buffers;
    while (left.length > 0) {
      const { bytesWritten } = await this.#file.writev(left);
      left = after(left, bytesWritten);
    }
  }
}

/** What a short write has left over. */
function after(buffers: readonly Buffer[], writtenBytes: number): Buffer[] {
  const left: Buffer[] = [];
  let skipBytes = writtenBytes;
  for (const buffer of buffers) {
    if (skipBytes < buffer.length) left.push(buffer.subarray(skipBytes));
    skipBytes = Math.max(0, skipBytes - buffer.length);
  }
  return left;
}

function settle(work: Promise<void>, callback: (error?: Error | null) => void): void {
  work.then(
    () => callback(),
    (error: Error) => callback(error),
  );
}
