// Reads a stretch of an object through cuts and absences of the store: on from the offset reached, as long as it is the same
// object.
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { StoreError } from '../../api/errors.ts';
import type { ObjectInfo, ObjectStorage } from '../store/store.ts';

export type Stretch = {
  /** First byte. */
  offset: number;
  /** Bytes wanted; fewer come where the object ends before. */
  length: number;
  /** Of the object that is meant; without it, of the first answer. */
  etag?: string;
};

export type StretchReader = {
  /** Told of the object by the first answer, before any byte. */
  opened?(info: ObjectInfo): void;
  /** Takes the bytes as they come, and must not make them wait. */
  take(chunk: Buffer): void;
};

export type Perseverance = {
  /** How long attempts may bring no byte until the last error is given up to, ms. Default 5 minutes. */
  limitMs?: number;
  /** Shortest wait before the second attempt, ms; doubles with each fruitless one, with jitter. Default 200. */
  firstWaitMs?: number;
};

const LIMIT_MS = 300_000;
const FIRST_WAIT_MS = 200;
const MAX_WAIT_MS = 10_000;

/**
 * Resolves when all bytes have been taken; with undefined when the object is positively absent. `throttled` and `broken`
 * failures are waited out, and the rest is asked for, bound to the ETag: an object that was replaced in between ends in a
 * StoreError `conflict`, never in mixed content. Throws StoreError, or the signal's reason.
 */
export async function readStretch(
  storage: ObjectStorage,
  key: string,
  stretch: Stretch,
  reader: StretchReader,
  options: Perseverance & { signal: AbortSignal },
): Promise<ObjectInfo | undefined> {
  const { signal } = options;
  const patience = new Patience(options);
  let { offset } = stretch;
  let info: ObjectInfo | undefined;
  const take = (chunk: Buffer) => {
    offset += chunk.length;
    patience.refresh();
    reader.take(chunk);
  };
  for (;;) {
    try {
      const length = stretch.offset + stretch.length - offset;
      const etag = info?.etag ?? stretch.etag;
      const answer = await storage.get(key, { offset, length, signal, ...(etag === undefined ? {} : { etag }) });
      if (answer === undefined) {
        if (info === undefined && stretch.etag === undefined) return undefined;
        throw deleted(storage, key, offset);
      }
      if (info === undefined) {
        info = answer.info;
        reader.opened?.(info);
      }
      await readAll(answer.body, take);
      return info;
    } catch (error) {
      if (info !== undefined && offset >= Math.min(stretch.offset + stretch.length, info.sizeBytes)) return info;
      await patience.spend(error);
    }
  }
}

/** By events: a loop over an async iterator costs a promise for each of the socket's chunks. */
async function readAll(body: Readable, take: (chunk: Buffer) => void): Promise<void> {
  body.on('data', take);
  try {
    await finished(body);
  } finally {
    body.destroy();
  }
}

/** Measures how long nothing has come, and waits between attempts. */
class Patience {
  readonly #options: Perseverance & { signal: AbortSignal };
  #fruitless = 0;
  #sinceMs = performance.now();

  constructor(options: Perseverance & { signal: AbortSignal }) {
    this.#options = options;
  }

  refresh(): void {
    this.#fruitless = 0;
    this.#sinceMs = performance.now();
  }

  /** Waits, or throws what failed when it cannot be helped by waiting. */
  async spend(error: unknown): Promise<void> {
    const { signal, limitMs = LIMIT_MS, firstWaitMs = FIRST_WAIT_MS } = this.#options;
    this.#fruitless += 1;
    signal.throwIfAborted();
    const waitMs = Math.min(MAX_WAIT_MS, firstWaitMs * 2 ** (this.#fruitless - 1)) * (1 + Math.random());
    const late = performance.now() - this.#sinceMs + waitMs > limitMs;
    if (!(error instanceof StoreError) || !error.retriable || late) throw error;
    await setTimeout(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function deleted(storage: ObjectStorage, key: string, offset: number): StoreError {
  const reason = `was deleted while it was read, after ${offset} bytes`;
  return new StoreError({ failure: 'absent', provider: storage.provider, operation: 'get', key, reason });
}
