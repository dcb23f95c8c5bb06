// Which objects make up a base backup, in the order to unpack them (object-store-layout.md §5.1).
import { CorruptError, PreconditionError } from '../../api/errors.ts';
import type { DoneEntry } from '../backup/catalog.ts';
import type { Archive } from '../store/archive.ts';
import { type Codec, codecBySuffix } from '../stream/codec.ts';

export type StoredTar = { key: string; part: number; codec: Codec; sizeBytes: number };

/** The tars of one tree: `data`, or the OID of a tablespace; parts in order, none missing. */
export type TarSet = { tree: string; tars: StoredTar[] };

const TAR_NAME = /^(data|\d+)(?:_(\d{4,}))?\.tar(\.[A-Za-z0-9]+)?$/;

/**
 * Lists a backup's tars and makes sure that they are complete as far as their names tell: PGDATA, every tablespace, and
 * every part up to the last. Throws CorruptError for what is missing, PreconditionError for a codec we do not know.
 */
export async function findTars(archive: Archive, entry: DoneEntry, signal: AbortSignal): Promise<TarSet[]> {
  const prefix = archive.keys.backup(entry.id);
  const found: (StoredTar & { tree: string })[] = [];
  for await (const { key, sizeBytes } of archive.storage.list(prefix, { signal })) {
    const match = TAR_NAME.exec(key.slice(prefix.length));
    if (match === null) continue;
    const [, tree = '', part = '0', suffix = ''] = match;
    const codec = codecBySuffix(suffix);
    if (codec === undefined) {
      throw new PreconditionError(`${key} is packed in a way that is not known: ${suffix}`, {
        hint: 'restore another backup, or with the tool that wrote this one',
      });
    }
    found.push({ key, tree, part: Number(part), codec, sizeBytes });
  }
  const trees = ['data', ...(entry.info.tablespaces ?? []).map(({ oid }) => String(oid))];
  return trees.map((tree) => ({ tree, tars: wholeSet(found, tree, entry.id) }));
}

function wholeSet(found: (StoredTar & { tree: string })[], tree: string, id: string): StoredTar[] {
  const tars = found.filter((tar) => tar.tree === tree).sort((a, b) => a.part - b.part);
  if (tars.length === 0) {
    throw new CorruptError(`base backup ${id} is incomplete: it has no ${tree}.tar; restore another one`);
  }
  const odd = tars.findIndex((tar, index) => tar.part !== index);
  if (odd >= 0) {
    throw new CorruptError(`base backup ${id} is incomplete: part ${odd} of ${tree} is missing or there twice`);
  }
  return tars;
}
