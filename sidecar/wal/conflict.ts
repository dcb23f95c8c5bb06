// Another content is stored under the name of a file: refused, or replaced where somebody has allowed it for this file.
import { ConflictError, CorruptError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { ANNOTATION_ALLOW_WAL_OVERWRITE } from '../../api/names.ts';
import type { WalName } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import type { Conflict } from './already-stored.ts';
import { type PackedFile, packFile } from './pack.ts';
import { putConfirmed } from './put-confirmed.ts';
import type { ArchiveSettings } from './settings.ts';
import { systemIdOfFile, systemIdOfStored } from './system-identifier.ts';

export type LocalFile = { name: WalName; path: string; packed: PackedFile };

type OverwriteFacts = { event: 'WalOverwritten'; key: string; replacedSha256: string; sha256: string };

/** Whether the Cluster's annotation names this very file. */
export function allowsOverwrite(cluster: Cluster, name: WalName): boolean {
  return cluster.metadata.annotations?.[ANNOTATION_ALLOW_WAL_OVERWRITE]?.trim() === name.name;
}

/** The refusal: both digests, both systems, and the one way out. */
export async function conflictError(
  archive: Archive,
  { object, facts }: Conflict,
  { name, path, packed }: LocalFile,
  signal: AbortSignal,
): Promise<ConflictError> {
  const theirs = await orUnknown(() => systemIdOfStored(archive, object, signal), signal);
  const ours = await orUnknown(() => systemIdOfFile(path), signal);
  const whose = ours === theirs ? 'a server that was split off or restored' : 'another server';
  return new ConflictError(
    `${object.key} is already stored with another content (${archive.location}): ` +
      `stored SHA-256 ${facts.sha256}, ${facts.sizeBytes} bytes, system identifier ${theirs}; ` +
      `this file SHA-256 ${packed.sha256}, ${packed.sizeBytes} bytes, system identifier ${ours}; nothing was overwritten. ` +
      `Most likely ${whose} archives to the same place: give each its own serverName. If what is stored may be lost, ` +
      `annotate the Cluster with ${ANNOTATION_ALLOW_WAL_OVERWRITE}=${name.name}, which holds for this file only`,
  );
}

/**
 * Replaces each form with another content, in that form, if it is still what was compared (where the store can tell).
 * Each replacement is told. Throws StoreError with failure `conflict` when it is not.
 */
export async function overwrite(
  archive: Archive,
  conflicts: readonly Conflict[],
  { name, path, packed }: LocalFile,
  settings: ArchiveSettings,
  signal: AbortSignal,
  tell: (facts: OverwriteFacts, message: string) => void,
): Promise<void> {
  for (const { object, info, facts } of conflicts) {
    const isOurForm = object.codec.name === settings.codec.name;
    const content = isOurForm ? packed : await packFile(path, object.codec, signal);
    if (content.sha256 !== packed.sha256) throw new CorruptError(`${path} changed while it was archived`);
    await putConfirmed(archive, object.key, content, { ...settings.put(name), onlyIf: { etag: info.etag }, signal });
    tell(
      { event: 'WalOverwritten', key: object.key, replacedSha256: facts.sha256, sha256: content.sha256 },
      `a stored WAL file with another content was replaced, as ${ANNOTATION_ALLOW_WAL_OVERWRITE} of the Cluster allows`,
    );
  }
}

async function orUnknown(read: () => Promise<bigint | undefined>, signal: AbortSignal): Promise<string> {
  try {
    return String((await read()) ?? 'unknown');
  } catch {
    signal.throwIfAborted();
    return 'unknown';
  }
}
