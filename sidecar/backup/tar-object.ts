// One tar on its way into the store: writer, codec, count, parts; nothing is staged.
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../api/errors.ts';
import type { ObjectStorage, PutOptions } from '../store/store.ts';
import type { Codec } from '../stream/codec.ts';
import { uploadStream } from '../stream/parts.ts';
import { type Pace, paceOf } from './pace.ts';
import { createTarWriter, type TarWriter } from './tar.ts';

export type TarTarget = {
  storage: ObjectStorage;
  codec: Codec;
  /** As the codec counts them; the default of base backups (BACKUP_LEVELS) when absent. */
  level?: number;
  partBytes: number;
  jobs: number;
  put: Pick<PutOptions, 'tags' | 'encryption'>;
  /** Packed bytes a second, of all tars that are opened with this very object together. No limit when absent. */
  maxBytesPerSecond?: number;
  signal: AbortSignal;
};

/** `crc32` of the packed bytes, 8 lower-case hexadecimal digits. */
export type StoredTar = { key: string; sizeBytes: number; crc32: string };

export type TarObject = {
  /** Adds to the tar; when the way to the store is broken, throws what broke it. */
  add<T>(entry: (tar: TarWriter) => Promise<T>): Promise<T>;
  /** Packed bytes that have left so far. */
  sentBytes(): number;
  /** Ends the tar, waits for the store and compares the size that it reports with what was sent. */
  finish(): Promise<StoredTar>;
  /** Gives up: ends the streams, waits until the upload is aborted. Never throws. */
  abandon(error: Error): Promise<void>;
};

/**
 * Levels of base backups where none is asked for and the codec's own default is not the best. barman takes 9 for gzip and
 * bzip2 (object-store-layout.md §5.2).
 *
 * gzip, a pgbench-like database of 0.81 GiB: CPU seconds, and what is left of it, at the levels of zlib: 1: 4.1 s, 22.8 %;
 * 2: 4.9 s, 22.6 %; 3: 6.0 s, 22.4 %; 4: 6.5 s, 21.9 %; 6: 15.8 s, 21.2 %. Level 1 costs 8 % more room than 6 and a quarter of
 * the processor time, which the database's node has to give. bzip2, 48 MiB of it: 5 (the default): 1.4 s, 12.7 %; 9: 1.5 s,
 * 12.7 %, and 7 MB more for each thread.
 */
const BACKUP_LEVELS: Partial<Record<Codec['name'], number>> = { gzip: 1 };

/**
 * Starts a tar under a key. Memory, whatever the size of the database: (`jobs` + 1) × `partBytes`; blocks of 1 MiB: two of the
 * tar, and of the codec one for each core and one more, with what they become. With two jobs, parts of 8 MiB and two cores
 * that is 24 + 2 + 3 + 3 MiB, besides the process itself, its threads and their codecs (gzip 0.8 MiB each).
 */
export function openTarObject(target: TarTarget, key: string): TarObject {
  const writer = createTarWriter();
  const level = target.level ?? BACKUP_LEVELS[target.codec.name];
  const encoder = target.codec.encoder(level === undefined ? {} : { level });
  const counter = new PackedBytes(paceOf(target));
  let failure: unknown;
  const stop = (error: unknown) => {
    failure ??= target.signal.aborted ? target.signal.reason : error;
    counter.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  };
  const packing = pipeline(writer.bytes, encoder, counter, { signal: target.signal }).catch(stop);
  const uploading = uploadStream(target.storage, key, counter, {
    partBytes: target.partBytes,
    parallel: target.jobs,
    signal: target.signal,
    ...target.put,
  }).catch(stop);
  const settled = Promise.allSettled([packing, uploading]);
  return {
    add: async (entry) => {
      try {
        return await entry(writer);
      } catch (error) {
        // What broke the streams is known when they have ended.
        if (writer.bytes.destroyed) await settled;
        throw failure ?? error;
      }
    },
    sentBytes: () => counter.sizeBytes,
    finish: async () => {
      await writer.finish().catch((error: Error) => writer.abort(error));
      await settled;
      if (failure !== undefined) throw failure;
      const stored = await uploading;
      if (stored.sizeBytes !== counter.sizeBytes) {
        throw new CorruptError(`${key}: sent ${counter.sizeBytes} bytes, the store holds ${stored.sizeBytes}`);
      }
      return { key, sizeBytes: stored.sizeBytes, crc32: counter.crc32 };
    },
    abandon: async (error) => {
      failure ??= error;
      writer.abort(error);
      counter.destroy(error);
      await settled;
    },
  };
}

/** Counts what has been packed and takes its checksum. The pace is set by its reader, and by a limit where there is one. */
class PackedBytes extends Transform {
  readonly #pace: Pace | undefined;
  readonly #gone = new AbortController();
  #checksum = 0;
  sizeBytes = 0;

  constructor(pace: Pace | undefined) {
    super();
    this.#pace = pace;
  }

  get crc32(): string {
    return this.#checksum.toString(16).padStart(8, '0');
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.sizeBytes += chunk.length;
    this.#checksum = crc32(chunk, this.#checksum);
    if (this.#pace === undefined) callback(null, chunk);
    else this.#pace.pass(chunk.length, this.#gone.signal).then(() => callback(null, chunk), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#gone.abort(error);
    callback(error);
  }
}
