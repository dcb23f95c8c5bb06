// Reads a tar as the last stage of a pipeline: entry by entry, content as it comes, never copied. Insists on the end marker.
import { Writable } from 'node:stream';
import { CorruptError } from '../../api/errors.ts';
import { BLOCK_BYTES, Extensions, parseHeader, type TarHeader } from './tar-header.ts';

/** Takes the content of one entry, in order. What it returns is waited for before more comes. */
export type EntrySink = {
  write(piece: Buffer): Promise<void> | undefined;
  /** After the last piece. */
  end(): Promise<void> | undefined;
  /** In place of `end`, when the content does not come to its end. Never throws. */
  abandon(): void;
};

/** What is taken in while the sink is busy. */
const HIGH_WATER_BYTES = 1024 * 1024;
/** Names and pax records of one entry; more is an attack on our memory. */
const MOST_EXTENSION_BYTES = 1024 * 1024;

/**
 * A writable that gives each entry to `handle`, which answers with a sink for its content or with nothing to pass it over.
 * The sinks set the pace. Fails with CorruptError for what is no tar or not a whole one, else with what a handler or a
 * sink threw. What follows the end marker is not looked at, as with the barman tools. Memory: 1 MiB and two pieces.
 */
export class TarReader extends Writable {
  readonly #handle: (header: TarHeader) => Promise<EntrySink | undefined>;
  readonly #extensions = new Extensions();
  /** A header that has not come whole. */
  #block: Buffer = Buffer.alloc(0);
  #extension: { flag: string; content: Buffer[] } | undefined;
  #sink: EntrySink | undefined;
  #contentBytes = 0;
  #paddingBytes = 0;
  #zeroBlocks = 0;
  #reading: Promise<void> = Promise.resolve();

  constructor(handle: (header: TarHeader) => Promise<EntrySink | undefined>) {
    super({ highWaterMark: HIGH_WATER_BYTES, decodeStrings: true });
    this.#handle = handle;
  }

  /** Resolves when no entry is being dealt with; after a failure that may take a moment longer than the pipeline. */
  async idle(): Promise<void> {
    await this.#reading.catch(() => {});
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#follow(this.#read([chunk]), callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#follow(this.#read(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    callback(this.#zeroBlocks === 2 ? null : new CorruptError('the tar ends before its end marker'));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#sink?.abandon();
    this.#sink = undefined;
    callback(error);
  }

  #follow(reading: Promise<void>, callback: (error?: Error | null) => void): void {
    this.#reading = reading;
    reading.then(
      () => callback(),
      (error: Error) => callback(error),
    );
  }

  async #read(chunks: Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      let at = 0;
      while (at < chunk.length && this.#zeroBlocks < 2) {
        if (this.#contentBytes > 0) {
          const piece =
            at === 0 && chunk.length <= this.#contentBytes ? chunk : chunk.subarray(at, at + this.#contentBytes);
          at += piece.length;
          const taken = this.#takeContent(piece);
          if (taken !== undefined) await taken;
        } else if (this.#paddingBytes > 0) {
          const skipped = Math.min(this.#paddingBytes, chunk.length - at);
          this.#paddingBytes -= skipped;
          at += skipped;
        } else {
          const part = chunk.subarray(at, at + BLOCK_BYTES - this.#block.length);
          at += part.length;
          this.#block = this.#block.length === 0 ? part : Buffer.concat([this.#block, part]);
          if (this.#block.length === BLOCK_BYTES) await this.#readHeader();
        }
        // The pipeline is over when an entry was being dealt with.
        if (this.destroyed) return;
      }
    }
    // A view would keep the whole chunk.
    this.#block = Buffer.from(this.#block);
  }

  async #readHeader(): Promise<void> {
    const own = parseHeader(this.#block);
    this.#block = Buffer.alloc(0);
    if (own === undefined) {
      this.#zeroBlocks += 1;
      return;
    }
    if (this.#zeroBlocks > 0) throw new CorruptError('not a whole tar: an empty header among the entries');
    const isExtension = own.kind === 'extension';
    const header = isExtension ? own : this.#extensions.applyTo(own);
    if (isExtension) this.#beginExtension(header);
    else this.#sink = await this.#handle(header);
    if (this.destroyed) {
      this.#sink?.abandon();
      this.#sink = undefined;
      return;
    }
    this.#contentBytes = header.sizeBytes;
    this.#paddingBytes = (BLOCK_BYTES - (header.sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    if (header.sizeBytes === 0) await this.#endContent();
  }

  #beginExtension({ flag, sizeBytes }: TarHeader): void {
    if (sizeBytes > MOST_EXTENSION_BYTES) throw new CorruptError(`not a whole tar: ${sizeBytes} bytes of extension`);
    this.#extension = { flag, content: [] };
  }

  #takeContent(piece: Buffer): Promise<void> | undefined {
    this.#contentBytes -= piece.length;
    this.#extension?.content.push(piece);
    const written = this.#sink?.write(piece);
    if (this.#contentBytes > 0) return written;
    return written === undefined ? this.#endContent() : written.then(() => this.#endContent());
  }

  #endContent(): Promise<void> | undefined {
    const sink = this.#sink;
    const extension = this.#extension;
    this.#sink = undefined;
    this.#extension = undefined;
    if (extension !== undefined) this.#extensions.note(extension.flag, Buffer.concat(extension.content));
    return sink?.end();
  }
}
