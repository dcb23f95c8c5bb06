// What we keep of a backup beside barman's own objects: sizes and checksums of its tars, and while it runs the names
// under which an upload may be open. Its key is safe for the barman tools (object-store-layout.md §12).
import { buffer } from 'node:stream/consumers';
import type { Archive } from '../store/archive.ts';

/** An object of the backup: its name below the backup's folder, and its packed bytes. */
export type ManifestObject = {
  name: string;
  sizeBytes: number;
  /** CRC-32 of the packed bytes, 8 hex digits. */
  crc32: string;
};

/** A page whose checksum is wrong: the path of its file in the tar, and its number in the whole relation. */
export type DamagedBlock = { path: string; block: number };

/**
 * `running` is stored before the first upload of a backup, `complete` before its `backup.info`. A `running` one of a
 * dead run tells where to look for uploads that nobody will end.
 */
export type BackupManifest = {
  version: 1;
  state: 'running' | 'complete';
  /** RFC 3339, UTC. */
  startedAt: string;
  /** When the run last said that it goes on, RFC 3339, UTC; absent until it has said so for the first time. */
  aliveAt?: string;
  /** The Pod that takes or took the backup. */
  instance: string;
  /** Names of first tars (`data.tar.gz`) that may have an open upload; so may the tars that continue them. */
  uploads: string[];
  objects: ManifestObject[];
  /** Absent where nothing was verified; empty where nothing was found. */
  damagedBlocks?: DamagedBlock[];
};

/** When the run was last known to be alive. */
export function lastSignOfLife({ startedAt, aliveAt = startedAt }: BackupManifest): Date {
  return new Date(aliveAt);
}

/** More is not ours. */
const LARGEST_BYTES = 4 * 1024 * 1024;

export function formatManifest(manifest: BackupManifest): string {
  return `${JSON.stringify(manifest, undefined, 1)}\n`;
}

/** Undefined when it is not ours, of another version, or damaged; a manifest is a help, never a condition. */
export function parseManifest(text: string): BackupManifest | undefined {
  const found = parseObject(text);
  if (found?.version !== 1 || (found.state !== 'running' && found.state !== 'complete')) return undefined;
  const { state, startedAt, aliveAt, instance, uploads, objects, damagedBlocks } = found;
  if (!isTime(startedAt) || (aliveAt !== undefined && !isTime(aliveAt)) || typeof instance !== 'string')
    return undefined;
  if (!isListOf(uploads, isName) || !isListOf(objects, isObject)) return undefined;
  if (damagedBlocks !== undefined && !isListOf(damagedBlocks, isDamagedBlock)) return undefined;
  return {
    ...{ version: 1, state, startedAt, instance, uploads, objects },
    ...(aliveAt === undefined ? {} : { aliveAt }),
    ...(damagedBlocks === undefined ? {} : { damagedBlocks }),
  };
}

/** The manifest of a backup; undefined when there is none or it is not ours. Throws StoreError. */
export async function readManifest(
  archive: Archive,
  id: string,
  signal: AbortSignal,
): Promise<BackupManifest | undefined> {
  const found = await archive.storage.get(archive.keys.manifest(id), { signal });
  if (found === undefined) return undefined;
  if (found.info.sizeBytes > LARGEST_BYTES) {
    found.body.destroy();
    return undefined;
  }
  return parseManifest((await buffer(found.body)).toString('utf8'));
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isListOf<T>(value: unknown, isItem: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(isItem);
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value));
}

/** A name below the backup's folder: what a manifest says never leads elsewhere. */
function isName(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(value);
}

function isObject(value: unknown): value is ManifestObject {
  if (typeof value !== 'object' || value === null) return false;
  const { name, sizeBytes, crc32 } = value as Partial<Record<keyof ManifestObject, unknown>>;
  return isName(name) && isCount(sizeBytes) && typeof crc32 === 'string' && /^[0-9a-f]{8}$/.test(crc32);
}

function isDamagedBlock(value: unknown): value is DamagedBlock {
  if (typeof value !== 'object' || value === null) return false;
  const { path, block } = value as Partial<Record<keyof DamagedBlock, unknown>>;
  return typeof path === 'string' && isCount(block);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
