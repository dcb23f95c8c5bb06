// Which objects make up a base backup, in the order to unpack them (object-store-layout.md §5.1).
import { CorruptError, PreconditionError } from '../../api/errors.ts';
import type { DoneEntry } from '../backup/catalog.ts';
import { type BackupManifest, readManifest } from '../backup/manifest.ts';
import type { Archive } from '../store/archive.ts';
import { type Codec, codecBySuffix } from '../stream/codec.ts';

export type StoredTar = {
  key: string;
  part: number;
  codec: Codec;
  /** As stored. */
  sizeBytes: number;
  /** CRC-32 of the packed bytes, 8 hex digits; undefined where the writer kept none. */
  crc32: string | undefined;
};

/** The tars of one tree: `data`, or the OID of a tablespace; parts in order, none missing. */
export type TarSet = { tree: string; tars: StoredTar[] };

/** `manifest` is undefined for what others wrote. */
export type StoredBackup = { sets: TarSet[]; manifest: BackupManifest | undefined };

type FoundTar = Omit<StoredTar, 'crc32'> & { tree: string; name: string };

const TAR_NAME = /^(data|\d+)(?:_(\d{4,}))?\.tar(\.[A-Za-z0-9]+)?$/;

/**
 * Lists a backup's tars and makes sure that they are complete: PGDATA, every tablespace and every part up to the last, as
 * far as names tell; and all that our manifest says, where there is one. Throws CorruptError for what is missing or has
 * another size, PreconditionError for a codec we do not know.
 */
export async function findTars(archive: Archive, entry: DoneEntry, signal: AbortSignal): Promise<StoredBackup> {
  const found = await listTars(archive, entry.id, signal);
  const manifest = await readManifest(archive, entry.id, signal);
  const complete = manifest?.state === 'complete' ? manifest : undefined;
  if (complete !== undefined) compare(found, complete, entry.id);
  const trees = ['data', ...(entry.info.tablespaces ?? []).map(({ oid }) => String(oid))];
  const sets = trees.map((tree) => ({ tree, tars: wholeSet(found, tree, entry.id, complete) }));
  return { sets, manifest: complete };
}

async function listTars(archive: Archive, id: string, signal: AbortSignal): Promise<FoundTar[]> {
  const prefix = archive.keys.backup(id);
  const found: FoundTar[] = [];
  for await (const { key, sizeBytes } of archive.storage.list(prefix, { signal })) {
    const name = key.slice(prefix.length);
    const match = TAR_NAME.exec(name);
    if (match === null) continue;
    const [, tree = '', part = '0', suffix = ''] = match;
    const codec = codecBySuffix(suffix);
    if (codec === undefined) {
      throw new PreconditionError(`${key} is packed in a way that is not known: ${suffix}`, {
        hint: 'restore another backup, or with the tool that wrote this one',
      });
    }
    found.push({ key, name, tree, part: Number(part), codec, sizeBytes });
  }
  return found;
}

function compare(found: readonly FoundTar[], manifest: BackupManifest, id: string): void {
  for (const { name, sizeBytes } of manifest.objects.filter((object) => TAR_NAME.test(object.name))) {
    const tar = found.find((candidate) => candidate.name === name);
    if (tar === undefined)
      throw new CorruptError(`base backup ${id} is incomplete: ${name} is gone; restore another one`);
    if (tar.sizeBytes === sizeBytes) continue;
    throw new CorruptError(
      `base backup ${id} is damaged: ${name} has ${tar.sizeBytes} bytes, ${sizeBytes} were stored; restore another one`,
    );
  }
  const stranger = found.find(({ name }) => !manifest.objects.some((object) => object.name === name));
  if (stranger !== undefined) {
    throw new CorruptError(`${stranger.key} was not written by base backup ${id}; remove it, or restore another one`);
  }
}

function wholeSet(
  found: readonly FoundTar[],
  tree: string,
  id: string,
  manifest: BackupManifest | undefined,
): StoredTar[] {
  const tars = found.filter((tar) => tar.tree === tree).sort((a, b) => a.part - b.part);
  if (tars.length === 0) {
    throw new CorruptError(`base backup ${id} is incomplete: it has no ${tree}.tar; restore another one`);
  }
  const odd = tars.findIndex((tar, index) => tar.part !== index);
  if (odd >= 0) {
    throw new CorruptError(`base backup ${id} is incomplete: part ${odd} of ${tree} is missing or there twice`);
  }
  return tars.map(({ tree: _, name, ...tar }) => ({
    ...tar,
    crc32: manifest?.objects.find((object) => object.name === name)?.crc32,
  }));
}
