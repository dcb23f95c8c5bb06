// One tar on its way into the store: writer, codec, count, parts; nothing is staged.
import { Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CorruptError } from '../../api/errors.ts';
import type { ObjectStorage, PutOptions } from '../store/store.ts';
import type { Codec } from '../stream/codec.ts';
import { uploadStream } from '../stream/parts.ts';
import { createTarWriter, type TarWriter } from './tar.ts';

export type TarTarget = {
  storage: ObjectStorage;
  codec: Codec;
  partBytes: number;
  jobs: number;
  put: Pick<PutOptions, 'tags' | 'encryption'>;
  signal: AbortSignal;
};

export type StoredTar = { key: string; sizeBytes: number };

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

/** Starts a tar under a key. */
export function openTarObject(target: TarTarget, key: string): TarObject {
  const writer = createTarWriter();
  const encoder = target.codec.encoder();
  const counter = new ByteCounter();
  let failure: unknown;
  const stop = (error: unknown) => {
    failure ??= error;
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
        throw failure ?? error;
      }
    },
    sentBytes: () => counter.sizeBytes,
    finish: async () => {
      writer.finish();
      await settled;
      if (failure !== undefined) throw failure;
      const stored = await uploading;
      if (stored.sizeBytes !== counter.sizeBytes) {
        throw new CorruptError(`${key}: sent ${counter.sizeBytes} bytes, the store holds ${stored.sizeBytes}`);
      }
      return { key, sizeBytes: stored.sizeBytes };
    },
    abandon: async (error) => {
      failure ??= error;
      writer.abort(error);
      counter.destroy(error);
      await settled;
    },
  };
}

/** Counts what flows through. The pace is set by its reader. */
class ByteCounter extends Transform {
  sizeBytes = 0;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.sizeBytes += chunk.length;
    callback(null, chunk);
  }
}
