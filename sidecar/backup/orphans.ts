// Uploads that a dead run left open: nobody sees them in a listing, and they are paid for until somebody aborts them.
import { messageOf, StoreError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import type { PutOptions } from '../store/store.ts';
import { type BackupManifest, formatManifest, lastSignOfLife, readManifest } from './manifest.ts';

export type Sweep = {
  archive: Archive;
  /** This Pod. One backup of an instance runs at a time, so what it left running before is dead. */
  instance: string;
  now: Date;
  /** Tags and encryption of whatever is stored. */
  put: Pick<PutOptions, 'tags' | 'encryption'>;
  signal: AbortSignal;
  log: Log;
};

type DeadRun = { id: string; manifest: BackupManifest };
type Runs = { dead: DeadRun[] /** When those began that go on. */; goingOn: Date[] };

const DAY_MS = 24 * 60 * 60_000;
/** One object of a live backup takes a day where it is large and the way to the store slow. */
const OPEN_TOO_LONG_MS = 7 * DAY_MS;
/** Manifests read at a time. */
const PARALLEL = 8;

/**
 * Aborts the uploads of dead runs: by manifest, under each exact key (MinIO lists no others); and whatever is open below
 * `base/` for a week and longer than any live run, where the store can list by prefix. A store that does not let us is a
 * warning and no reason to take no backup; the result says whether it did. Throws only the signal's reason.
 */
export async function abortOrphans(sweep: Sweep): Promise<boolean> {
  const { archive, now, signal, log } = sweep;
  try {
    const { dead, goingOn } = await findRuns(sweep);
    for (const run of dead) await endRun(sweep, run);
    await abortBelow(sweep, archive.keys.base, openTooLongSince(now, goingOn));
    return true;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof StoreError)) throw error;
    log.warn({ error: messageOf(error) }, 'uploads that an earlier backup left open could not be looked for');
    return false;
  }
}

/**
 * Aborts what else is open under the keys of a backup that is whole: an upload whose begin was answered too late or not at
 * all, and that was begun again. Throws only the signal's reason.
 */
export async function abortLeftovers(
  archive: Archive,
  tars: readonly { key: string }[],
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  const anyTime = new Date(Date.now() + DAY_MS);
  try {
    for (const { key } of tars) {
      const keys = await archive.storage.abortOrphans(key, anyTime, { signal });
      if (keys.length > 0) log.info({ keys }, 'uploads that were begun twice were aborted');
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof StoreError)) throw error;
    log.debug({ error: messageOf(error) }, 'uploads that were begun twice could not be looked for');
  }
}

/** An upload below `base/` that was begun before is of a dead run, whoever began it; `goingOn`: when live runs began. */
export function openTooLongSince(now: Date, goingOn: readonly Date[]): Date {
  return new Date(Math.min(now.getTime() - OPEN_TOO_LONG_MS, ...goingOn.map((date) => date.getTime())));
}

/** Whether a manifest is of a run that cannot go on: ours, or without a sign of life for a day. */
export function isDead(manifest: BackupManifest, instance: string, now: Date): boolean {
  if (manifest.state !== 'running' || manifest.uploads.length === 0) return false;
  return manifest.instance === instance || now.getTime() - lastSignOfLife(manifest).getTime() > DAY_MS;
}

/**
 * Names under which an upload may be open, given the names that are stored: of each tar that was begun the first one,
 * and every further one up to the first that is not stored (`data.tar.gz`, `data_0001.tar.gz`, …).
 */
export function namesOfUploads(uploads: readonly string[], stored: ReadonlySet<string>): string[] {
  return uploads.flatMap((first) => {
    const names = [first];
    for (let part = 1; stored.has(names.at(-1) ?? ''); part++) {
      names.push(first.replace('.tar', `_${String(part).padStart(4, '0')}.tar`));
    }
    return names;
  });
}

/** The keys under which a run may have left uploads open. */
export async function keysOfUploads(
  archive: Archive,
  id: string,
  { uploads }: BackupManifest,
  signal: AbortSignal,
): Promise<string[]> {
  const folder = archive.keys.backup(id);
  const stored = new Set<string>();
  for await (const { key } of archive.storage.list(folder, { signal })) stored.add(key.slice(folder.length));
  return namesOfUploads(uploads, stored).map((name) => `${folder}${name}`);
}

async function findRuns({ archive, instance, now, signal }: Sweep): Promise<Runs> {
  const { base } = archive.keys;
  const dead: DeadRun[] = [];
  const goingOn: Date[] = [];
  let ids: string[] = [];
  const readAll = async () => {
    const manifests = await Promise.all(ids.map((id) => readManifest(archive, id, signal)));
    for (const [index, manifest] of manifests.entries()) {
      if (manifest === undefined) continue;
      if (isDead(manifest, instance, now)) dead.push({ id: ids[index] ?? '', manifest });
      else if (manifest.uploads.length > 0) goingOn.push(new Date(manifest.startedAt));
    }
    ids = [];
  };
  for await (const folder of archive.storage.listFolders(base, { signal })) {
    const id = folder.slice(base.length, -1);
    // An object below `base//`: nobody's run, and no key of it may be asked for.
    if (id !== '') ids.push(id);
    if (ids.length === PARALLEL) await readAll();
  }
  await readAll();
  return { dead, goingOn };
}

/** Afterwards the manifest names no upload any more, so that the next sweep need not look again. */
async function endRun(sweep: Sweep, { id, manifest }: DeadRun): Promise<void> {
  const { archive, now, put, signal } = sweep;
  // Whatever is in this folder is of that run, and clocks may be apart.
  const anyTime = new Date(now.getTime() + DAY_MS);
  for (const key of await keysOfUploads(archive, id, manifest, signal)) await abortBelow(sweep, key, anyTime);
  await abortBelow(sweep, archive.keys.backup(id), anyTime);
  const ended = Buffer.from(formatManifest({ ...manifest, uploads: [] }));
  await archive.storage.put(archive.keys.manifest(id), ended, { ...put, signal });
}

async function abortBelow({ archive, signal, log }: Sweep, prefix: string, startedBefore: Date): Promise<void> {
  const keys = await archive.storage.abortOrphans(prefix, startedBefore, { signal });
  if (keys.length > 0) log.warn({ keys }, 'uploads that an earlier backup left open were aborted');
}
