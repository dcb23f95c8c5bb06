// What the archive holds for a WAL file: names of objects read back, exactly (object-store-layout.md §2.2, §2.3, §3.1).
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import type { ObjectInfo } from '../store/store.ts';
import { CODEC_SUFFIXES, type Codec, codecByName, codecBySuffix } from '../stream/codec.ts';

/** A stored object that holds a WAL file. */
export type StoredWal = { key: string; name: WalName; codec: Codec; info: ObjectInfo };

/**
 * Every stored form of a file: the name itself and `.partial` of it, raw or packed with any codec. One LIST with the
 * name as prefix answers for all of them, hit or miss; asking for each key would take 7 requests (14 with partials) to
 * be sure of a miss, and misses are half of what a recovery asks for. Nothing is matched by prefix alone. Throws
 * StoreError; an empty answer is a positive absence.
 */
export async function listStored(archive: Archive, name: WalName, signal: AbortSignal): Promise<StoredWal[]> {
  const found: StoredWal[] = [];
  const folder = archive.keys.walFolder(name);
  for await (const info of archive.storage.list(`${folder}${name.name}`, { signal })) {
    const stored = parseStoredName(info.key.slice(folder.length));
    if (stored?.name.name !== name.name && stored?.name.name !== `${name.name}.partial`) continue;
    found.push({ key: info.key, info, ...stored });
  }
  return found;
}

/**
 * Reads the last element of a key: a WAL name, or one followed by one suffix of a codec. Undefined for anything else,
 * such as `X.gz.bz2` or `X.zip`.
 */
export function parseStoredName(objectName: string): { name: WalName; codec: Codec } | undefined {
  const plain = parseWalName(objectName);
  if (plain !== undefined) return { name: plain, codec: codecByName('none') };
  const suffix = CODEC_SUFFIXES.find((known) => objectName.endsWith(known));
  const codec = suffix === undefined ? undefined : codecBySuffix(suffix);
  if (suffix === undefined || codec === undefined) return undefined;
  const name = parseWalName(objectName.slice(0, -suffix.length));
  return name === undefined ? undefined : { name, codec };
}
