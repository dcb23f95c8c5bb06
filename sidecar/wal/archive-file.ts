// One WAL file on its way into the archive: packed, compared with what is stored, put, confirmed.
import { StoreError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import type { WalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';
import type { ObjectInfo } from '../store/store.ts';
import type { Events } from '../telemetry/events.ts';
import { abreast } from './abreast.ts';
import { compareStored } from './already-stored.ts';
import { allowsOverwrite, conflictError, type LocalFile, overwrite } from './conflict.ts';
import { type Effort, levelAt } from './effort.ts';
import type { EmptyArchiveGate } from './empty-archive.ts';
import { removeMarker, wantsEmptyArchive } from './marker.ts';
import type { NoteOnce } from './note-once.ts';
import type { Ownership } from './ownership.ts';
import { type PackedFile, packFile } from './pack.ts';
import { type Patience, persist } from './persist.ts';
import { putConfirmed } from './put-confirmed.ts';
import { type ArchiveSettings, archiveSettings } from './settings.ts';
import { listStored, type StoredWal } from './stored.ts';
import type { WalMetrics } from './wal-metrics.ts';

export type ArchiveWork = {
  pgdata: string;
  log: Log;
  gate: EmptyArchiveGate;
  ownership: Ownership;
  noteOnce: NoteOnce;
  /** Places and names whose last put was not confirmed. */
  doubted: Set<string>;
  events: Events;
  metrics: WalMetrics;
  effort: () => Effort;
  patience: Patience;
};

type FileRequest = { cluster: Cluster; sourceFile: string; checkEmptyArchive: boolean | undefined };

/**
 * Resolves after the store has confirmed the file, or has shown that it holds this very content. Transient trouble of the
 * store is waited out as persist.ts says, and `note` is told of it.
 */
export async function archiveFile(
  work: ArchiveWork,
  request: FileRequest,
  archive: Archive,
  name: WalName,
  signal: AbortSignal,
  note: (failure: unknown) => void,
): Promise<void> {
  const { noteOnce, log, metrics, patience } = work;
  const startedAt = performance.now();
  const settings = archiveSettings(archive.objectStore);
  for (const reason of settings.ignored) noteOnce(reason, () => log.warn(`argument without effect: ${reason}`));
  const level = settings.level ?? levelAt(work.effort(), settings.codec.name);
  const look = (asked: AbortSignal) => storedForms(archive, name, asked);
  // Packed once, however often the store has to be asked.
  const [packed, looked] = await abreast(
    signal,
    (shared) => packFile(request.sourceFile, settings.codec, shared, { level }),
    (shared) => settledLook(look(shared)),
  );
  const file = { name, path: request.sourceFile, packed };
  let tries = 0;
  let firstLook: Look | undefined = looked;
  const outcome = await persist(
    async () => {
      tries += 1;
      const done = firstLook;
      firstLook = undefined;
      const stored = done === undefined ? await look(signal) : done();
      return store(work, request, archive, settings, file, stored, signal);
    },
    { inRecovery: false, signal, patience, log, what: `archiving of ${name.name}`, onWait: note },
  );
  // A request that failed may still be sending what it was given.
  if (outcome === 'stored once' && tries === 1) packed.release();
  await removeMarker(work);
  const seconds = (performance.now() - startedAt) / 1000;
  metrics.lastArchived(name, packed.sizeBytes);
  count(metrics, outcome, packed, seconds);
  const facts = {
    file: name.name,
    rawBytes: packed.sizeBytes,
    storedBytes: packed.storedBytes,
    milliseconds: Math.round(1000 * seconds),
  };
  log.info(facts, outcome === 'there' ? 'WAL file was already stored' : 'WAL file archived');
}

type Look = () => StoredWal[];

/** A look that failed is no reason to stop packing: who uses it gets the failure then. */
function settledLook(look: Promise<StoredWal[]>): Promise<Look> {
  return look.then(
    (stored) => () => stored,
    (error: unknown) => () => {
      throw error;
    },
  );
}

async function store(
  work: ArchiveWork,
  request: FileRequest,
  archive: Archive,
  settings: ArchiveSettings,
  file: LocalFile,
  stored: StoredWal[],
  signal: AbortSignal,
): Promise<Outcome> {
  const { gate, ownership, events, log } = work;
  const { cluster } = request;
  // Before the check for an empty archive: after a crash between put and answer the file found there is this one.
  const doubt = `${archive.location}\n${file.name.name}`;
  const trust = !work.doubted.has(doubt);
  const comparison = await compareStored(archive, stored, file.packed, signal, { trust });
  if (comparison.outcome === 'stored') {
    work.doubted.delete(doubt);
    gate.own(archive);
    return 'there';
  }
  if (comparison.outcome === 'free') {
    await ownership.verify(archive, signal, (message) => events.warn(cluster, 'OwnershipConflict', message));
    const check = await wantsEmptyArchive(work.pgdata, request);
    let sentOnce = false;
    // Until it is confirmed, what may lie there vouches for nothing.
    work.doubted.add(doubt);
    await gate.through(archive, check, signal, async () => {
      sentOnce = await putNew(archive, settings, file, comparison.broken, signal);
    });
    work.doubted.delete(doubt);
    const ours = archive.keys.wal(file.name, settings.codec.suffix);
    for (const { key } of comparison.broken) {
      if (key !== ours) {
        log.warn({ key }, `${key} cannot be decoded; it is left where it is, and ${ours} is stored beside it`);
        continue;
      }
      const message = `${key} could not be decoded: the file was stored anew`;
      log.warn({ event: 'WalOverwritten', key }, message);
      events.warn(cluster, 'WalOverwritten', message);
    }
    return sentOnce ? 'stored once' : 'stored';
  } else if (allowsOverwrite(cluster, file.name)) {
    await overwrite(archive, comparison.conflicts, file, settings, signal, (facts, message) => {
      log.warn(facts, message);
      events.warn(cluster, 'WalOverwritten', `${facts.key}: ${message}`);
    });
  } else {
    throw await conflictError(archive, comparison.conflicts[0], file, signal);
  }
  return 'stored';
}

type Outcome = 'there' | 'stored' | 'stored once';

function count(metrics: WalMetrics, outcome: Outcome, packed: PackedFile, seconds: number): void {
  if (outcome === 'there') {
    metrics.alreadyStoredFiles.add();
    return;
  }
  metrics.archivedFiles.add();
  metrics.archiveSeconds.add([], seconds);
  metrics.rawBytes.add([], packed.sizeBytes);
  metrics.storedBytes.add([], packed.storedBytes);
}

/** Forms of exactly this name: a segment's `.partial` is another file. */
async function storedForms(archive: Archive, name: WalName, signal: AbortSignal) {
  return (await listStored(archive, name, signal)).filter((stored) => stored.name.name === name.name);
}

/**
 * Stores under a key that was seen to be free, or to hold the rest of an interrupted put of this very content. Who loses
 * a race, or repeats a put that had arrived, compares again. Resolves to whether the body was sent once and whole.
 */
async function putNew(
  archive: Archive,
  settings: ArchiveSettings,
  file: LocalFile,
  broken: readonly ObjectInfo[],
  signal: AbortSignal,
): Promise<boolean> {
  const { name, packed } = file;
  const key = archive.keys.wal(name, settings.codec.suffix);
  const replaced = broken.find((info) => info.key === key);
  try {
    const onlyIf = replaced === undefined ? 'absent' : { etag: replaced.etag };
    return await putConfirmed(archive, key, packed, { ...settings.put(name), onlyIf, signal });
  } catch (error) {
    if (!(error instanceof StoreError) || error.failure !== 'conflict') throw error;
    const stored = await storedForms(archive, name, signal);
    const comparison = await compareStored(archive, stored, packed, signal, { trust: false });
    if (comparison.outcome === 'conflict') throw await conflictError(archive, comparison.conflicts[0], file, signal);
    if (comparison.outcome === 'free') throw error;
    return false;
  }
}
