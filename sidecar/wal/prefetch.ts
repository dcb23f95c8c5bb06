// Fetches the segments ahead of the one that PostgreSQL replays (object-store-layout.md §3.5, §12 rows 6 to 8).
import { createHash } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../api/errors.ts';
import { nextSegment, parseWalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import { fetchFirst, findCandidates } from './fetch.ts';
import { handOut, type PrefetchedFile } from './prefetched-file.ts';

type Entry = {
  /** Whether the segment is stored. Never rejects: not known counts as no. */
  found: Promise<boolean>;
  /** The finished file; undefined when there is none to be had. Never rejects. */
  file: Promise<PrefetchedFile | undefined>;
};

type Window = {
  place: string;
  archive: Archive;
  folder: string;
  /** The last segment handed to PostgreSQL. */
  served: string;
  /** The segments after it, as many as the window is wide. */
  wanted: readonly string[];
  entries: Map<string, Entry>;
  stop: AbortController;
  filling: Promise<void> | undefined;
};

/**
 * A window of segments that follow the last one served. Only one: PostgreSQL replays one timeline from one place, one
 * segment after the other.
 *
 * | event                                          | the window                                                        |
 * |------------------------------------------------|-------------------------------------------------------------------|
 * | a segment was served                           | lies behind it: what follows is kept, what is missing fetched      |
 * | the request is in it                           | hands it out, waits for it while it is on its way                  |
 * | the request is the segment served last         | stays, and serves nothing                                         |
 * | the request is outside (other timeline, jump,  | is dropped, files and running downloads                           |
 * | other store, server or settings)               |                                                                   |
 * | a segment is positively absent                 | ends before it until the next segment is served: nothing is kept  |
 * |                                                | of the absence, a request looks for itself                        |
 * | trouble                                        | has a gap: a request for it fetches for itself, and sees its own   |
 * |                                                | trouble only                                                      |
 *
 * Looks are made one after the other (at the end of WAL one miss, whatever the width), downloads side by side. Partial
 * files are left out: the full one may come. On disk there are at most width × segment size, in a folder of our own that
 * is emptied at start; a file that this process has not finished itself is never handed out.
 */
export class Prefetch {
  readonly #folder: string;
  readonly #log: Log;
  #window: Window | undefined;
  #emptied: Promise<void> | undefined;
  /** Removal of dropped windows: the next one begins after it, so that the disk never holds two. */
  #removal: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `folder` belongs to us alone. */
  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Removes what an earlier process has left; done before the first segment is fetched at the latest. */
  async empty(): Promise<void> {
    this.#emptied ??= rm(this.#folder, { recursive: true, force: true });
    try {
      await this.#emptied;
    } catch (error) {
      this.#emptied = undefined;
      throw error;
    }
  }

  /**
   * Puts a prefetched segment to `destination` and tells its size. Undefined when there is none, whatever the reason: the
   * caller fetches for itself. Throws nothing but the reason of the signal.
   */
  async take(archive: Archive, name: string, destination: string, signal: AbortSignal): Promise<number | undefined> {
    const window = this.#window;
    if (window === undefined) return undefined;
    if (window.place !== placeOf(archive) || ![window.served, ...window.wanted].includes(name)) {
      this.drop();
      return undefined;
    }
    const entry = window.entries.get(name);
    if (entry === undefined) return undefined;
    const file = await settled(entry.file, signal);
    if (window.entries.get(name) === entry) window.entries.delete(name);
    if (file === undefined) return undefined;
    try {
      await handOut(file, destination);
      return file.sizeBytes;
    } catch (error) {
      this.#log.warn({ file: name }, `a prefetched segment cannot be used and is fetched again: ${messageOf(error)}`);
      return undefined;
    } finally {
      await remove(file.path);
    }
  }

  /** A segment of this size was served: lays the window behind it. Returns at once, throws nothing. */
  follow(archive: Archive, name: string, sizeBytes: number, width: number): void {
    if (this.#stopped) return;
    const place = placeOf(archive);
    const wanted = successors(name, sizeBytes, width);
    const kept = this.#window;
    if (kept?.place !== place || [...kept.entries.keys()].some((ahead) => !wanted.includes(ahead))) this.drop();
    const folder = join(this.#folder, folderName(archive, place));
    this.#window ??= newWindow(place, folder, archive);
    const window = this.#window;
    // The archive too is opened anew for each request: secrets change.
    window.archive = archive;
    window.served = name;
    window.wanted = wanted;
    if (wanted.length > 0) window.filling ??= this.#fill(window);
  }

  /** Ends the window: running downloads are aborted, files removed. Returns at once. */
  drop(): void {
    const window = this.#window;
    if (window === undefined) return;
    this.#window = undefined;
    window.stop.abort(new Error('the window of prefetched segments was dropped'));
    this.#removal = Promise.all([this.#removal, removeAll(window)]).then(() => undefined);
  }

  /** Ends the window for good; settles when nothing runs any more and the files are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.drop();
    await this.#removal;
  }

  async #fill(window: Window): Promise<void> {
    for (let wanted: readonly string[] = []; wanted !== window.wanted; ) {
      wanted = window.wanted;
      for (const name of wanted) {
        if (window.stop.signal.aborted || window.wanted !== wanted) break;
        const entry = window.entries.get(name) ?? this.#start(window, name);
        if (!(await entry.found)) break;
      }
    }
    window.filling = undefined;
  }

  #start(window: Window, name: string): Entry {
    const found = Promise.withResolvers<boolean>();
    const entry: Entry = { found: found.promise, file: this.#fetch(window, name, found.resolve) };
    window.entries.set(name, entry);
    return entry;
  }

  async #fetch(window: Window, name: string, tellFound: (found: boolean) => void): Promise<PrefetchedFile | undefined> {
    const { signal } = window.stop;
    try {
      await this.#removal;
      await this.empty();
      const file = await fetchAhead(window, name, tellFound);
      if (file !== undefined) return file;
    } catch (error) {
      if (!signal.aborted) this.#log.debug({ file: name }, `not prefetched: ${messageOf(error)}`);
    }
    tellFound(false);
    window.entries.delete(name);
    return undefined;
  }
}

function newWindow(place: string, folder: string, archive: Archive): Window {
  const stop = new AbortController();
  return { place, folder, archive, served: '', wanted: [], entries: new Map(), stop, filling: undefined };
}

async function fetchAhead(
  { archive, folder, stop: { signal } }: Window,
  name: string,
  tellFound: (found: boolean) => void,
): Promise<PrefetchedFile | undefined> {
  const parsed = parseWalName(name);
  const candidates = parsed && (await findCandidates(archive, parsed, { signal, partial: false }));
  if (candidates === undefined || candidates.length === 0) return undefined;
  tellFound(true);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, name);
  const fetched = await fetchFirst(archive, candidates, path, signal);
  return fetched && { path, sizeBytes: fetched.sizeBytes, identity: fetched.identity };
}

/** Everything that decides where bytes come from; a change of any setting of the store makes another place of it. */
function placeOf(archive: Archive): string {
  const { metadata, spec } = archive.objectStore;
  return JSON.stringify([metadata.name, archive.keys.server, spec.configuration]);
}

/** Readable, and never longer than a file name may be or with a slash in it, whatever the server is called. */
function folderName(archive: Archive, place: string): string {
  const digest = createHash('sha256').update(place).digest('hex').slice(0, 16);
  return `${archive.objectStore.metadata.name.slice(0, 64)}-${digest}`;
}

function successors(name: string, sizeBytes: number, width: number): string[] {
  const names: string[] = [];
  for (let next = nextSegment(name, sizeBytes); next !== undefined && names.length < width; ) {
    names.push(next);
    next = nextSegment(next, sizeBytes);
  }
  return names;
}

/** Waits for a promise that never rejects, or throws the reason of the signal. */
async function settled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const leave = () => reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

async function removeAll(window: Window): Promise<void> {
  await window.filling;
  await Promise.all([...window.entries.values()].map(({ file }) => file));
  await remove(window.folder);
}

/** What cannot be removed is only room on the disk, and goes at the next start. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}
