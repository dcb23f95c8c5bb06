// Reading a long object through cuts: at the offset reached, as long as it is the same object.
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { StoreError } from '../../api/errors.ts';
import type { GetOptions, ObjectInfo, ObjectStorage } from '../store/store.ts';

export type ResumableOptions = GetOptions & {
  /** Attempts in a row that may bring no byte before the last error is given up to. Default 5. */
  maxFruitlessAttempts?: number;
  /** Shortest wait before the second attempt, ms; doubles with each fruitless one, with jitter. Default 200. */
  firstWaitMs?: number;
};

const MAX_WAIT_MS = 10_000;

/**
 * Opens an object for reading; undefined when it is positively absent. The body goes on over `throttled` and `broken`
 * failures with a new request for the rest, bound to the ETag of the first answer: an object that was replaced in
 * between ends in a StoreError `conflict`, never in mixed content. The reader sets the pace.
 */
export async function resumableGet(
  storage: ObjectStorage,
  key: string,
  options: ResumableOptions = {},
): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const first = await storage.get(key, { ...requestOf(options), signal });
  if (first === undefined) return undefined;
  const chunks = readThrough(storage, key, first, { ...options, signal });
  const body = Readable.from(chunks, { objectMode: false });
  // A generator that waits for bytes does not hear that its reader has gone.
  body.once('close', () => {
    first.body.destroy();
    stop.abort();
  });
  return { info: first.info, body };
}

async function* readThrough(
  storage: ObjectStorage,
  key: string,
  first: { info: ObjectInfo; body: Readable },
  options: ResumableOptions & { signal: AbortSignal },
): AsyncGenerator<Buffer> {
  const patience = new Patience(options);
  const end = Math.min(first.info.sizeBytes, (options.offset ?? 0) + (options.length ?? Number.POSITIVE_INFINITY));
  let position = options.offset ?? 0;
  let body: Readable | undefined = first.body;
  for (;;) {
    try {
      body ??= await reopen(storage, key, { offset: position, length: end - position, etag: first.info.etag }, options);
      for await (const chunk of body) {
        position += chunk.length;
        patience.refresh();
        yield chunk;
      }
      return;
    } catch (error) {
      body?.destroy();
      body = undefined;
      if (position === end) return;
      await patience.spend(error);
    }
  }
}

/** Counts attempts without progress and waits between them. */
class Patience {
  readonly #options: ResumableOptions & { signal: AbortSignal };
  #fruitless = 0;

  constructor(options: ResumableOptions & { signal: AbortSignal }) {
    this.#options = options;
  }

  refresh(): void {
    this.#fruitless = 0;
  }

  /** Waits, or throws what failed when it cannot be helped by waiting. */
  async spend(error: unknown): Promise<void> {
    const { signal, maxFruitlessAttempts = 5, firstWaitMs = 200 } = this.#options;
    this.#fruitless += 1;
    signal.throwIfAborted();
    if (!(error instanceof StoreError) || !error.retriable || this.#fruitless >= maxFruitlessAttempts) throw error;
    const waitMs = Math.min(MAX_WAIT_MS, firstWaitMs * 2 ** (this.#fruitless - 1)) * (1 + Math.random());
    await setTimeout(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

async function reopen(
  storage: ObjectStorage,
  key: string,
  range: { offset: number; length: number; etag: string },
  options: { signal: AbortSignal },
): Promise<Readable> {
  const opened = await storage.get(key, { ...range, signal: options.signal });
  if (opened !== undefined) return opened.body;
  throw new StoreError({
    failure: 'absent',
    provider: storage.provider,
    operation: 'get',
    key,
    reason: `was deleted while it was read, after ${range.offset} bytes`,
  });
}

function requestOf({ offset, length, etag }: GetOptions): GetOptions {
  return {
    ...(offset === undefined ? {} : { offset }),
    ...(length === undefined ? {} : { length }),
    ...(etag === undefined ? {} : { etag }),
  };
}
