// Reads bzip2 with several threads. A block's begin is guessed by its magic number, its end is told by its own bits, and
// only a block that begins where the one before ended counts: a wrong guess costs time, never content.
import { CorruptError } from '../../../api/errors.ts';
import { HeldBytes } from '../held.ts';
import { PacedTransform } from '../paced.ts';
import { END_MAGIC, findMagics, MAGIC_BITS, readBits } from './bits.ts';
import { blockRoomBytes, LARGEST_BLOCK_BYTES, type UnpackedBlock } from './block-coder.ts';
import { combineChecksums } from './encoder.ts';
import { RunExpander } from './runs.ts';
import type { BlockWorkers } from './workers.ts';

const PIECE_BYTES = 256 * 1024;
const HEADER_BYTES = 4;
const AHEAD = 1;

/** A place where a magic number was seen; a block is unpacked up to `endByte` once that is known. */
type Mark = { bit: number; isBlock: boolean; unpacking: Promise<Answer> | undefined };
type Answer = { buffer: ArrayBuffer; result: UnpackedBlock };

/**
 * Unpacks one or more streams. CorruptError on damage and where the end is missing; bytes after the last stream that begin
 * no other are ignored, as barman's reader does. Memory: one buffer of 1.2 MB for each thread and two more, and the packed
 * blocks themselves.
 */
export class Bzip2Decoder extends PacedTransform {
  readonly #workers: BlockWorkers;
  /** What has come and is still needed; the first byte of #bytes has the number #base in the whole. */
  readonly #held = new HeldBytes();
  #base = 0;
  /** Where the search for magics goes on, in #bytes. */
  #searched = 0;
  #marks: Mark[] = [];
  /** The bit at which the next header, block or end must begin, in the whole. */
  #nextBit = 0;
  #inside = false;
  #streams = 0;
  #level = 0;
  #checksum = 0;
  #ended = false;
  #ignoring = false;

  constructor(workers: BlockWorkers) {
    super();
    this.#workers = workers;
  }

  get #bytes(): Buffer {
    return this.#held.bytes;
  }

  protected override async accept(chunk: Buffer): Promise<void> {
    if (this.#ignoring) return;
    this.#held.append(chunk);
    await this.#advance();
  }

  protected override async finish(): Promise<void> {
    this.#ended = true;
    await this.#advance();
    if (this.#inside || this.#streams === 0) throw new CorruptError('truncated bzip2 content');
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const mark of this.#marks.splice(0)) this.#abandon(mark);
    callback(error);
  }

  /** Goes as far as the bytes at hand allow. */
  async #advance(): Promise<void> {
    this.#searched = findMagics(this.#bytes, this.#searched, (bit, isBlock) => {
      this.#marks.push({ bit: this.#base * 8 + bit, isBlock, unpacking: undefined });
    });
    while (!this.#ignoring && (this.#inside ? await this.#readBlockOrEnd() : this.#readHeader())) this.#forget();
    this.#forget();
  }

  #readHeader(): boolean {
    const at = this.#nextBit / 8 - this.#base;
    const header = this.#bytes.toString('latin1', at, at + HEADER_BYTES);
    if (header.length < HEADER_BYTES && !this.#ended) return false;
    if (!/^BZh[1-9]$/.test(header)) {
      if (this.#streams === 0) throw new CorruptError('not bzip2 content: no stream header');
      this.#ignoring = true;
      return false;
    }
    this.#level = Number(header[3]);
    this.#nextBit += HEADER_BYTES * 8;
    this.#checksum = 0;
    this.#inside = true;
    this.#streams++;
    return true;
  }

  async #readBlockOrEnd(): Promise<boolean> {
    while (this.#marks[0] !== undefined && this.#marks[0].bit < this.#nextBit) {
      const wrong = this.#marks.shift();
      if (wrong !== undefined) this.#abandon(wrong);
    }
    const mark = this.#marks[0];
    if (mark === undefined || mark.bit > this.#nextBit) {
      // The search runs 7 bytes behind what has come.
      if (this.#base * 8 + this.#searched * 8 <= this.#nextBit) return this.#readShortEnd();
      throw new CorruptError(`bzip2 content is damaged: no block begins at bit ${this.#nextBit}`);
    }
    if (!mark.isBlock) return this.#readEnd();
    this.#unpackAhead();
    if (mark.unpacking === undefined) return this.#tooLong(mark);
    // Wait for the first only where the threads have enough to do, or nothing else will come.
    const busy = this.#marks.filter((other) => other.unpacking !== undefined).length;
    if (busy <= this.#workers.parallel && !this.#ended) return false;
    await this.#write(mark);
    return true;
  }

  /** The last 10 bytes of a stream may be too few for the search. */
  #readShortEnd(): boolean {
    if (!this.#ended) return false;
    if (readBits(this.#bytes, this.#nextBit - this.#base * 8, MAGIC_BITS) === END_MAGIC) return this.#readEnd();
    throw new CorruptError('truncated bzip2 content');
  }

  #readEnd(): boolean {
    const bit = this.#nextBit - this.#base * 8 + MAGIC_BITS;
    if (bit + 32 > this.#bytes.length * 8) return false;
    if (Number(readBits(this.#bytes, bit, 32)) !== this.#checksum) {
      throw new CorruptError('bzip2 content is damaged: the checksum of the stream differs');
    }
    this.#nextBit = Math.ceil((this.#nextBit + MAGIC_BITS + 32) / 8) * 8;
    this.#inside = false;
    return true;
  }

  /** Gives the threads the blocks whose presumed end is known. */
  #unpackAhead(): void {
    let busy = 0;
    for (const [i, mark] of this.#marks.entries()) {
      if (busy > this.#workers.parallel + AHEAD) return;
      if (!mark.isBlock) continue;
      const next = this.#marks[i + 1];
      const endBit = next?.bit ?? (this.#ended ? (this.#base + this.#bytes.length) * 8 : undefined);
      if (endBit === undefined) return;
      if (mark.unpacking === undefined) {
        mark.unpacking = this.#unpack(mark.bit, endBit);
        // It is awaited later, in its turn, or never when the guess was wrong.
        mark.unpacking.catch(() => {});
      }
      busy++;
    }
  }

  async #unpack(bit: number, endBit: number): Promise<Answer> {
    const from = Math.floor(bit / 8) - this.#base;
    const bytes = this.#bytes.subarray(from, Math.ceil(endBit / 8) - this.#base);
    const buffer = this.#workers.take();
    const room = new Uint8Array(buffer);
    if (bytes.length > room.length) throw new CorruptError('bzip2 content is damaged: a block is too long');
    room.set(bytes);
    return this.#workers.unpack(buffer, bytes.length, bit % 8);
  }

  async #write(mark: Mark): Promise<void> {
    if (mark.unpacking === undefined) return;
    const { buffer, result } = await mark.unpacking;
    if (result.outcome === 'short' && this.#marks[1] !== undefined) {
      // What looked like the next block was part of this one.
      for (const wrong of this.#marks.splice(1, 1)) this.#abandon(wrong);
      mark.unpacking = undefined;
      this.#workers.release(buffer);
      return;
    }
    if (result.outcome === 'short') throw new CorruptError('truncated bzip2 content');
    if (result.outcome !== 'whole' || result.sizeBytes > this.#level * 100_000) {
      throw new CorruptError(`bzip2 content is damaged: the block at bit ${mark.bit} is ${describe(result)}`);
    }
    this.#marks.shift();
    await this.#expand(new Uint8Array(buffer, 0, result.sizeBytes));
    this.#checksum = combineChecksums(this.#checksum, result.checksum);
    this.#nextBit = Math.floor(mark.bit / 8) * 8 + result.endBit;
    this.#workers.release(buffer);
  }

  async #expand(block: Uint8Array): Promise<void> {
    const expander = new RunExpander(block);
    for (;;) {
      const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      const sizeBytes = expander.read(piece);
      if (sizeBytes === 0) return;
      await this.give(piece.subarray(0, sizeBytes));
    }
  }

  /** A block whose end has not come yet. */
  #tooLong(mark: Mark): boolean {
    const heldBytes = this.#base + this.#bytes.length - mark.bit / 8;
    if (heldBytes > blockRoomBytes(LARGEST_BLOCK_BYTES)) {
      throw new CorruptError('bzip2 content is damaged: a block is too long');
    }
    return false;
  }

  /** Lets go of the bytes before the next thing to read. */
  #forget(): void {
    const done = Math.min(Math.floor(this.#nextBit / 8) - this.#base, this.#searched);
    if (done <= 0) return;
    this.#held.drop(done);
    this.#base += done;
    this.#searched -= done;
  }

  #abandon(mark: Mark): void {
    mark.unpacking?.then(
      ({ buffer }) => this.#workers.release(buffer),
      () => {},
    );
  }
}

function describe(result: UnpackedBlock): string {
  if (result.outcome === 'different') return 'not what its checksum says';
  if (result.outcome === 'randomised') return 'randomised, as no writer has made since 1998';
  return result.outcome === 'whole' ? 'larger than the header allows' : 'not decodable';
}
