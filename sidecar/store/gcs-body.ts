// Google's digest of bodies, both ways, and bodies that cannot be short without a word.
import type { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { CorruptError } from '../../api/errors.ts';
import type { BodyCheck } from './body.ts';

/** So much is digested at a time: a fraction of a millisecond. */
const PIECE_BYTES = 2 * 1024 * 1024;

type Step = (bytes: Uint8Array, value: number) => number;

/** The digest that Google takes of every object; its library is loaded at the first use. */
export async function createCrc32c(): Promise<Crc32c> {
  const { crc32c } = await import('@node-rs/crc32');
  return new Crc32c(crc32c);
}

/** A digest that is being taken, and of how many bytes. */
export class Crc32c {
  readonly #step: Step;
  #value = 0;
  #sizeBytes = 0;

  constructor(step: Step) {
    this.#step = step;
  }

  update(bytes: Uint8Array): void {
    this.#value = this.#step(bytes, this.#value);
    this.#sizeBytes += bytes.length;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** As the store writes it: base64 of four bytes, the highest first. */
  get base64(): string {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#value);
    return bytes.toString('base64');
  }
}

/** The digest of whole bytes, in pieces: the sockets get their turn between them. */
export async function digestOf(bytes: Uint8Array): Promise<string> {
  const digest = await createCrc32c();
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    if (start > 0) await setImmediate();
    digest.update(bytes.subarray(start, start + PIECE_BYTES));
  }
  return digest.base64;
}

/**
 * Chunks of a source that must have exactly the announced length: a request must not wait for bytes that never come.
 * `onFailure` hears of what goes wrong with the source, and of nothing else; the reader sets the pace.
 */
export async function* exactly(
  source: Readable,
  sizeBytes: number,
  digest: Crc32c,
  onFailure: (error: unknown) => void,
): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  const next = async (): Promise<Buffer | undefined> => {
    try {
      const { done, value } = await chunks.next();
      if (!done) digest.update(value);
      if (digest.sizeBytes > sizeBytes || (done && digest.sizeBytes < sizeBytes)) {
        throw new CorruptError(
          `the source has ${done ? digest.sizeBytes : 'more than'} of the ${sizeBytes} bytes announced: it changed while it was read`,
        );
      }
      return done ? undefined : value;
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
  try {
    for (let chunk = await next(); chunk !== undefined; chunk = await next()) yield chunk;
  } finally {
    source.destroy();
  }
}

/** Finds out whether a body that is received is what the store says that it has. */
export async function crc32cCheck(wanted: string): Promise<BodyCheck> {
  const digest = await createCrc32c();
  return {
    update: (bytes) => digest.update(bytes),
    problem() {
      if (digest.base64 === wanted) return undefined;
      return new Error(`${digest.sizeBytes} bytes with CRC-32C ${digest.base64} came, the store has ${wanted}`);
    },
  };
}
