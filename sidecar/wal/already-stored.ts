// Whether a file is in the archive already, by content: a name that is taken is never written again.
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CorruptError } from '../../api/errors.ts';
import type { Archive } from '../store/archive.ts';
import type { ObjectInfo } from '../store/store.ts';
import { Digest } from '../stream/digest.ts';
import type { PackedFile } from './pack.ts';
import type { StoredWal } from './stored.ts';

/**
 * User metadata of a WAL object: SHA-256 (lower-case hex) and size of the content before packing, and the size stored.
 * Written by archive.ts, read here and in fetch.ts. Readers that do not know them are not disturbed.
 */
const METADATA_SHA256 = 'cellar-sha256';
const METADATA_SIZE = 'cellar-size';
const METADATA_STORED_SIZE = 'cellar-stored-size';

export type ContentFacts = { sha256: string; sizeBytes: number };

/** A stored form with another content. */
export type Conflict = { object: StoredWal; info: ObjectInfo; facts: ContentFacts };

/**
 * The content is there, or it is not, and then `cut` are objects that an interrupted put of it left behind, or another
 * content is.
 */
export type Comparison =
  | { outcome: 'stored' }
  | { outcome: 'free'; cut: ObjectInfo[] }
  | { outcome: 'conflict'; conflicts: [Conflict, ...Conflict[]] };

/**
 * Compares a file with every stored form of its name.
 *
 * | stored forms                                                    | answer                                    |
 * |-----------------------------------------------------------------|-------------------------------------------|
 * | none                                                            | free                                      |
 * | all with this content                                           | stored: nothing to write                  |
 * | any with another content                                        | conflict                                  |
 * | metadata names this content, but not all of the object is there | passed over; may be replaced (some stores |
 * |                                                                 | keep what came of a put that was cut off) |
 * | any other that cannot be decoded                                | CorruptError: its content is not known    |
 * | any that the store will not show                                | the StoreError                            |
 */
export async function compareStored(
  archive: Archive,
  stored: StoredWal[],
  content: ContentFacts,
  signal: AbortSignal,
): Promise<Comparison> {
  const cut: ObjectInfo[] = [];
  const conflicts: Conflict[] = [];
  let same = false;
  for (const object of stored) {
    const head = await archive.storage.head(object.key, { signal });
    if (head === undefined) continue;
    const whole = isWhole(head);
    if (!whole && digestFromMetadata(head) === content.sha256) {
      cut.push(head);
      continue;
    }
    const facts = (whole ? contentFromMetadata(head) : undefined) ?? (await readContent(archive, object, signal));
    if (facts === undefined) continue;
    if (facts.sha256 === content.sha256) same = true;
    else conflicts.push({ object, info: head, facts });
  }
  const [conflict, ...others] = conflicts;
  if (conflict !== undefined) return { outcome: 'conflict', conflicts: [conflict, ...others] };
  return same ? { outcome: 'stored' } : { outcome: 'free', cut };
}

/** Metadata for an object with this content. */
export function metadataFor(packed: PackedFile): Record<string, string> {
  return {
    [METADATA_SHA256]: packed.sha256,
    [METADATA_SIZE]: String(packed.sizeBytes),
    [METADATA_STORED_SIZE]: String(packed.storedBytes),
  };
}

/** SHA-256 that the content must have, as its writer noted it; undefined for objects of other writers. */
export function digestFromMetadata(info: ObjectInfo): string | undefined {
  const sha256 = info.metadata?.[METADATA_SHA256];
  return sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) ? sha256 : undefined;
}

function contentFromMetadata(info: ObjectInfo): ContentFacts | undefined {
  const sha256 = digestFromMetadata(info);
  const sizeBytes = Number(info.metadata?.[METADATA_SIZE]);
  return sha256 === undefined || !Number.isSafeInteger(sizeBytes) ? undefined : { sha256, sizeBytes };
}

/** Whether all that was sent is there; objects of other writers do not say and count as whole. */
function isWhole(info: ObjectInfo): boolean {
  const sentBytes = info.metadata?.[METADATA_STORED_SIZE];
  return sentBytes === undefined || Number(sentBytes) === info.sizeBytes;
}

/** Barman keeps no digest: reading and decoding is the only way to know. */
async function readContent(
  archive: Archive,
  object: StoredWal,
  signal: AbortSignal,
): Promise<ContentFacts | undefined> {
  const decoder = object.codec.decoder();
  const answer = await archive.storage.get(object.key, { signal });
  if (answer === undefined) return undefined;
  const digest = new Digest();
  const nowhere = new Writable({ write: (_chunk, _encoding, callback) => callback() });
  try {
    await pipeline(answer.body, decoder, digest, nowhere, { signal });
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    const advice = 'nothing was overwritten; look at the object, and move it away if it is of no use';
    throw new CorruptError(
      `${object.key} is stored but cannot be decoded (${archive.location}): ${error.message}; ${advice}`,
      {
        cause: error,
      },
    );
  }
  return { sha256: digest.hex, sizeBytes: digest.sizeBytes };
}
