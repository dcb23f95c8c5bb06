// What was sent, known by more than its length: digests taken while a body goes out, so that no pass is added.
import { createHash, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { crc32 } from 'node:zlib';

/** Digests that the answer of the store can be compared with. MD5 takes 2 ms per MiB, CRC-32 a sixth of that. */
export type WantedDigests = { md5: boolean; crc32: boolean };

/** What went out. A digest that was not wanted is undefined. */
export type SentBytes = {
  sizeBytes: number;
  /** Lower-case hex, as in an ETag. */
  md5: string | undefined;
  /** Base64 of four bytes, as in `x-amz-checksum-crc32`. */
  crc32: string | undefined;
};

/** So much is hashed at a time: about a millisecond, after which the socket gets its turn. */
const PIECE_BYTES = 512 * 1024;

/** Counts and digests bytes that pass. */
export class BodyDigests {
  readonly #md5: Hash | undefined;
  #crc32: number | undefined;
  #sizeBytes = 0;

  constructor(wanted: WantedDigests) {
    this.#md5 = wanted.md5 ? createHash('md5') : undefined;
    this.#crc32 = wanted.crc32 ? 0 : undefined;
  }

  update(bytes: Uint8Array): void {
    this.#sizeBytes += bytes.length;
    this.#md5?.update(bytes);
    if (this.#crc32 !== undefined) this.#crc32 = crc32(bytes, this.#crc32);
  }

  /** Of what has passed until now. */
  get sent(): SentBytes {
    return { sizeBytes: this.#sizeBytes, md5: this.#md5?.copy().digest('hex'), crc32: inBase64(this.#crc32) };
  }
}

/** Digests whole bytes in pieces, while a request sends them. Ends early, with what it has, once nobody wants to know. */
export async function digestWhileSending(
  bytes: Uint8Array,
  wanted: WantedDigests,
  unwanted: AbortSignal,
): Promise<SentBytes> {
  const digests = new BodyDigests(wanted);
  for (let start = 0; start < bytes.length && !unwanted.aborted; start += PIECE_BYTES) {
    await setImmediate();
    digests.update(bytes.subarray(start, start + PIECE_BYTES));
  }
  return digests.sent;
}

function inBase64(crc: number | undefined): string | undefined {
  if (crc === undefined) return undefined;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}
