// A live copy of all objects of a kind, kept by list and watch, with a bounded start. Whoever asks it finds what the API
// server told last, or learns that the copy is not to be had.
import { messageOf } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { Running } from '../api/wire/process.ts';

/** What is read of every object. */
export type FeedObject = {
  metadata: { name: string; namespace?: string; resourceVersion?: string; managedFields?: unknown };
};

/** The informer of @kubernetes/client-node, as far as we use it. */
export type Informer<T> = {
  on(event: 'add' | 'update' | 'delete', listener: (object: T) => void): void;
  on(event: 'error', listener: (error?: unknown) => void): void;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/** `was` is what was known before, undefined for an object that is new to us. Objects must not be changed. */
export type Change<T> = { object: T; was: T | undefined; removed: boolean };

export type Feed<T> = {
  /** Begins to listen. Resolves when the copy is complete, when it is forbidden, or after the limit; never throws. */
  start(): Promise<Running>;
  /** Whether the copy is complete and a watch keeps it so. */
  isLive(): boolean;
  /** Whether all that can be known was known once: the copy was complete, or it is not allowed here. */
  isSettled(): boolean;
  get(namespace: string, name: string): T | undefined;
  list(namespace: string): readonly T[];
  all(): readonly T[];
  /** From now on every change is told, until the answer is called. */
  onChange(listener: (change: Change<T>) => void): () => void;
};

export type FeedOptions = {
  /** `objectstores`: for the log. */
  plural: string;
  /** Tells a refusal for good, which nothing but a change of rights ends. */
  isForbidden(error: unknown): boolean;
  /** Cuts an object down to what is needed, in place: the copy lives as long as the process. */
  trim?: (object: FeedObject) => void;
  log: Log;
  /** Longest wait for the first listing, ms. */
  startLimitMs?: number;
  /** Pause before a broken watch is begun again, ms; jittered. */
  retryMs?: number;
};

const START_LIMIT_MS = 5000;
const RETRY_MS = 5000;
/** Rights may be granted later; asking again costs one request. */
const FORBIDDEN_RETRY_MS = 300_000;

/** Makes the feed; nothing is asked before `start`. */
export function createFeed<T extends FeedObject>(informer: Informer<T>, options: FeedOptions): Feed<T> {
  const { plural, log, startLimitMs = START_LIMIT_MS, retryMs = RETRY_MS } = options;
  const known = new Map<string, Map<string, T>>();
  const listeners = new Set<(change: Change<T>) => void>();
  let live = false;
  let failed = false;
  let settled = false;
  let saidForbidden = false;
  let stopped = false;
  let again: NodeJS.Timeout | undefined;

  const tell = (object: T, removed: boolean): void => {
    options.trim?.(object);
    const { name, namespace = '' } = object.metadata;
    const neighbours = known.get(namespace) ?? new Map<string, T>();
    known.set(namespace, neighbours);
    const was = neighbours.get(name);
    if (removed) neighbours.delete(name);
    else neighbours.set(name, object);
    for (const listener of listeners) listener({ object, was, removed });
  };
  informer.on('add', (object) => tell(object, false));
  informer.on('update', (object) => tell(object, false));
  informer.on('delete', (object) => tell(object, true));
  informer.on('error', (error) => {
    failed = true;
    live = false;
    if (stopped) return;
    const forbidden = options.isForbidden(error);
    settled ||= forbidden;
    if (!forbidden) log.debug({ error: messageOf(error) }, `the watch of ${plural} broke and is begun again`);
    else if (!saidForbidden) {
      saidForbidden = true;
      log.info(`${plural} are read one by one: list and watch of all of them are not allowed here`);
    }
    const pauseMs = (forbidden ? FORBIDDEN_RETRY_MS : retryMs) * (0.75 + Math.random() / 2);
    again = setTimeout(() => void fill(), pauseMs);
    again.unref();
  });

  async function fill(): Promise<void> {
    failed = false;
    await informer.start();
    // What goes wrong is told to the listener above, before `start` resolves.
    live = !failed && !stopped;
    settled ||= live;
  }

  return {
    async start() {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const limit = setTimeout(resolve, startLimitMs);
      let filled = false;
      const filling = fill().then(() => {
        filled = true;
      });
      await Promise.race([filling, late]);
      clearTimeout(limit);
      if (!filled) log.info(`${plural} are not all known yet; until then they are read one by one`);
      return {
        async stop() {
          stopped = true;
          live = false;
          clearTimeout(again);
          await informer.stop();
        },
      };
    },
    isLive: () => live,
    isSettled: () => settled,
    get: (namespace, name) => known.get(namespace)?.get(name),
    list: (namespace) => [...(known.get(namespace)?.values() ?? [])],
    all: () => [...known.values()].flatMap((neighbours) => [...neighbours.values()]),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
