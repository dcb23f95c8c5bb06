// Whether a store compares and answers the CRC-32 of parts. Where it does, no MD5 is taken of them: that costs seven times as
// much, and as much as all the rest of sending a part on a fast network.
import { StoreError } from '../../api/errors.ts';

/**
 * Learned by asking, because stores with an endpoint of their own differ:
 *
 * | known        | request of an upload                                             | becomes                  |
 * |--------------|------------------------------------------------------------------|--------------------------|
 * | yes, unknown | with a CRC-32, and the answer has it                             | yes                      |
 * | yes, unknown | with one, but the answer has none: the part is known by its MD5  | no                       |
 * | unknown      | with one: 400 or 501; the same without it succeeds               | no                       |
 * | no           | without; MD5s are taken while parts are sent                     |                          |
 */
export class PartChecksums {
  #known: boolean | 'unknown' = 'unknown';
  readonly #lacking: () => void;

  /** `lacking` hears each time that the store shows to have none. */
  constructor(lacking: () => void) {
    this.#lacking = lacking;
  }

  /** Makes a request of an upload in the way that this store takes. */
  async checked<T>(withChecksum: () => Promise<T>, without: () => Promise<T>): Promise<T> {
    if (this.#known === false) return without();
    try {
      return await withChecksum();
    } catch (error) {
      // Another request may have found out meanwhile that the store has none.
      if (this.#known === true || !mayBeUnknown(error)) throw error;
      const result = await without();
      // Only now: a store answers so to other things too.
      this.#known = false;
      this.#lacking();
      return result;
    }
  }

  /** Whether the answer to a part that was sent with its CRC-32 tells of it. */
  believes(answer: { ChecksumCRC32?: string | undefined }): boolean {
    this.#known = answer.ChecksumCRC32 !== undefined;
    if (!this.#known) this.#lacking();
    return this.#known;
  }
}

function mayBeUnknown(error: unknown): boolean {
  return error instanceof StoreError && (error.status === 400 || error.status === 501);
}
