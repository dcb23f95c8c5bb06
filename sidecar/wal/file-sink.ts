// The end of a pipeline that fills a file which somebody else opened and closes.
import type { FileHandle } from 'node:fs/promises';
import { Writable } from 'node:stream';

const HIGH_WATER_BYTES = 1024 * 1024;

/**
 * Writes to the current position of an open file; what has piled up goes out in one call. A FileHandle's own write stream
 * will not do: with `autoClose: false` it keeps its hold on the handle after it has finished, and `close()` waits forever.
 */
export class FileSink extends Writable {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    super({ highWaterMark: HIGH_WATER_BYTES, decodeStrings: true });
    this.#file = file;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    settle(this.#writeAll([chunk]), callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    settle(this.#writeAll(chunks.map(({ chunk }) => chunk)), callback);
  }

  async #writeAll(buffers: Buffer[]): Promise<void> {
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
