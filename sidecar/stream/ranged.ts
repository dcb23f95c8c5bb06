// Reads a long object by several ranges at a time, handed over in order: one connection seldom fills the line, and a reader
// that has to wait for the disk now and then finds the next bytes here.
import { Readable } from 'node:stream';
import type { ObjectInfo, ObjectStorage } from '../store/store.ts';
import { type Perseverance, readStretch } from './resumable.ts';

export type RangedOptions = Perseverance & {
  signal?: AbortSignal;
  /** Bytes of one range. Default 8 MiB: with half of it the requests themselves cost a quarter more of processor time. */
  rangeBytes?: number;
  /** Told of every chunk, in order, before it is handed over. */
  inspect?: (chunk: Buffer) => void;
  /** Ranges in flight or waiting to be handed over. Default 3. */
  parallel?: number;
};

const RANGE_BYTES = 8 * 1024 * 1024;
const PARALLEL = 3;
const HIGH_WATER_BYTES = 1024 * 1024;

/**
 * Opens an object for reading; undefined when it is positively absent. Each range goes on through cuts from its own offset,
 * and all are bound to the ETag of the first answer (resumable.ts). The body fails with StoreError; destroying it ends its
 * requests. Memory: `parallel` ranges and 1 MiB, whatever the reader's pace.
 */
export async function rangedGet(
  storage: ObjectStorage,
  key: string,
  options: RangedOptions = {},
): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
  const body = new RangedBody(storage, key, options);
  try {
    const info = await body.opened;
    if (info !== undefined) return { info, body };
    body.destroy();
    return undefined;
  } catch (error) {
    body.destroy();
    throw error;
  }
}

type Range = { chunks: Buffer[]; done: boolean };

class RangedBody extends Readable {
  /** What the first answer says of the object; undefined: it is absent. */
  readonly opened: Promise<ObjectInfo | undefined>;
  readonly #storage: ObjectStorage;
  readonly #key: string;
  readonly #options: RangedOptions;
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  /** In order; only the first is handed over. */
  readonly #ranges: Range[] = [];
  readonly #running = new Set<Promise<void>>();
  #info: ObjectInfo | undefined;
  #nextOffset = 0;
  #wanted = false;

  constructor(storage: ObjectStorage, key: string, options: RangedOptions) {
    super({ highWaterMark: HIGH_WATER_BYTES });
    const { signal } = options;
    this.#storage = storage;
    this.#key = key;
    this.#options = options;
    this.#signal = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    // A failure before anybody listens must not end the process; who reads later still gets it.
    this.on('error', () => undefined);
    this.opened = new Promise((resolve, reject) => this.#startFirst(resolve, reject));
  }

  override _read(): void {
    this.#wanted = true;
    this.#handOver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stop.abort();
    this.#ranges.length = 0;
    const over = () => callback(error);
    Promise.all(this.#running).then(over, over);
  }

  #startFirst(resolve: (info: ObjectInfo | undefined) => void, reject: (error: unknown) => void): void {
    const opened = (info: ObjectInfo) => {
      this.#info = info;
      resolve(info);
      this.#startMore();
    };
    this.#start({ opened }).then(resolve, (error) => {
      reject(error);
      this.destroy(error);
    });
  }

  #startMore(): void {
    const { parallel = PARALLEL } = this.#options;
    if (this.destroyed || this.#info === undefined) return;
    while (this.#ranges.length < parallel && this.#nextOffset < this.#info.sizeBytes) {
      this.#start({ etag: this.#info.etag }).catch((error) => this.destroy(error));
    }
  }

  /** One more range, up to its last byte. Answers what the store said of the object. */
  #start(of: { etag?: string; opened?: (info: ObjectInfo) => void }): Promise<ObjectInfo | undefined> {
    const { rangeBytes = RANGE_BYTES } = this.#options;
    const { etag, opened } = of;
    const range: Range = { chunks: [], done: false };
    const stretch = { offset: this.#nextOffset, length: rangeBytes, ...(etag === undefined ? {} : { etag }) };
    this.#nextOffset += rangeBytes;
    this.#ranges.push(range);
    const take = (chunk: Buffer) => {
      range.chunks.push(chunk);
      if (range === this.#ranges[0]) this.#handOver();
    };
    const reader = { take, ...(opened === undefined ? {} : { opened }) };
    const reading = readStretch(this.#storage, this.#key, stretch, reader, { ...this.#options, signal: this.#signal });
    const running: Promise<void> = reading.then(
      () => {
        range.done = true;
        this.#running.delete(running);
        this.#handOver();
      },
      () => {
        this.#running.delete(running);
      },
    );
    this.#running.add(running);
    return reading;
  }

  #handOver(): void {
    while (this.#wanted && !this.destroyed) {
      const [first] = this.#ranges;
      if (first === undefined) {
        if (this.#info !== undefined) this.push(null);
        return;
      }
      const chunk = first.chunks.shift();
      if (chunk !== undefined) {
        this.#options.inspect?.(chunk);
        this.#wanted = this.push(chunk);
      } else if (first.done) {
        this.#ranges.shift();
        this.#startMore();
      } else return;
    }
  }
}
