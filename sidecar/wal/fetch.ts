// Brings one WAL file back from the archive (object-store-layout.md §3.1, §3.2).
import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { CorruptError, messageOf, PreconditionError } from '../../api/errors.ts';
import { isSegmentSize, type WalName } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import { writeDurably } from '../stream/durable-file.ts';
import { digestFromMetadata } from './already-stored.ts';
import { FileSink } from './file-sink.ts';
import { identityOf } from './prefetched-file.ts';
import { listStored, type StoredWal } from './stored.ts';

/** What was brought: a whole segment or only a partial one, its size as PostgreSQL sees it, and which file on disk it is. */
export type Fetched = { kind: WalName['kind']; sizeBytes: number; identity: string };

/**
 * Writes the file to `destination`, which appears whole or not at all. Undefined when it is positively absent. A form
 * that cannot be decoded is passed over for the next one of the same kind; throws that first error when no form is left,
 * StoreError for anything that keeps the answer unknown. `partial: false` leaves `.partial` files out.
 */
export async function fetchWal(
  archive: Archive,
  name: WalName,
  destination: string,
  options: { signal: AbortSignal; partial?: boolean },
): Promise<Fetched | undefined> {
  return fetchFirst(archive, await findCandidates(archive, name, options), destination, options.signal);
}

/** The stored forms that may serve a request, best first, by one small request; none is a positive absence. */
export async function findCandidates(
  archive: Archive,
  name: WalName,
  options: { signal: AbortSignal; partial?: boolean },
): Promise<StoredWal[]> {
  const { signal, partial = true } = options;
  const stored = await listStored(archive, name, signal);
  const configured = archive.objectStore.spec.configuration.wal?.compression;
  return chooseCandidates(stored, name, { configured, partial });
}

/** The second half of `fetchWal`: the first of the forms that decodes. Undefined when all have gone meanwhile. */
export async function fetchFirst(
  archive: Archive,
  candidates: readonly StoredWal[],
  destination: string,
  signal: AbortSignal,
): Promise<Fetched | undefined> {
  let unreadable: unknown;
  for (const candidate of candidates) {
    try {
      const fetched = await deliver(archive, candidate, destination, signal);
      if (fetched !== undefined) return fetched;
    } catch (error) {
      // A codec that this version lacks is no reason to overlook another form either.
      if (!(error instanceof CorruptError) && !(error instanceof PreconditionError)) throw error;
      unreadable ??= error;
    }
  }
  if (unreadable !== undefined) throw unreadable;
  return undefined;
}

/**
 * Which stored forms may serve a request, best first. Pure.
 *
 * | stored forms of the full file | partial forms | served from                                               |
 * |-------------------------------|---------------|-----------------------------------------------------------|
 * | any                           | any           | the full ones: configured codec, raw, others by key       |
 * | none                          | any, wanted   | the partial ones in the same order                        |
 * | none                          | not wanted    | nothing                                                   |
 *
 * A partial file never stands in for a full one that is there but cannot be decoded: PostgreSQL would take the zeros at
 * its end for the end of WAL.
 */
export function chooseCandidates(
  stored: readonly StoredWal[],
  name: WalName,
  options: { configured: string | undefined; partial: boolean },
): StoredWal[] {
  const full = stored.filter((candidate) => candidate.name.name === name.name);
  const rank = ({ codec }: StoredWal) => (codec.name === options.configured ? 0 : codec.name === 'none' ? 1 : 2);
  const chosen = full.length > 0 || !options.partial ? full : stored;
  return chosen.toSorted((a, b) => rank(a) - rank(b) || (a.key < b.key ? -1 : 1));
}

/** Undefined when the object has gone since it was listed. */
async function deliver(
  archive: Archive,
  candidate: StoredWal,
  destination: string,
  signal: AbortSignal,
): Promise<Fetched | undefined> {
  const answer = await archive.storage.get(candidate.key, { signal });
  if (answer === undefined) return undefined;
  const expected = digestFromMetadata(answer.info);
  let sizeBytes = 0;
  let identity = '';
  const fill = async (file: FileHandle) => {
    const sink = new FileSink(file, { digest: expected !== undefined });
    try {
      if (candidate.codec.name === 'none') await pipeline(answer.body, sink, { signal });
      else await pipeline(answer.body, candidate.codec.decoder(), sink, { signal });
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
      throw new CorruptError(`${candidate.key} (${archive.location}): ${messageOf(error)}`, { cause: error });
    }
    const found = sink.digest();
    if (expected !== found) {
      throw corrupt(archive, candidate, `SHA-256 is ${found}, when it was archived it was ${expected}`);
    }
    sizeBytes = sink.sizeBytes;
    if (candidate.name.kind === 'segment' && !isSegmentSize(sizeBytes)) {
      throw corrupt(archive, candidate, `${sizeBytes} bytes are no segment: a power of two from 1 MiB to 1 GiB`);
    }
    identity = identityOf(await file.stat({ bigint: true }));
  };
  await writeDurably(destination, fill, { folderSync: false });
  return { kind: candidate.name.kind, sizeBytes, identity };
}

function corrupt(archive: Archive, candidate: StoredWal, facts: string): CorruptError {
  return new CorruptError(`${candidate.key} (${archive.location}) cannot be used: ${facts}`);
}
