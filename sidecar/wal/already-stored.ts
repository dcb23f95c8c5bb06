// Whether a file is in the archive already, by content: a name that is taken is never written again.
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CorruptError } from '../../api/errors.ts';
import type { Archive } from '../store/archive.ts';
import type { ObjectInfo } from '../store/store.ts';
import { DecodeVerdict } from '../stream/decode-verdict.ts';
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
 * The content is there, or it is not, and then `broken` are objects under its name that hold no content at all, or another
 * content is.
 */
export type Comparison =
  | { outcome: 'stored' }
  | { outcome: 'free'; broken: ObjectInfo[] }
  | { outcome: 'conflict'; conflicts: [Conflict, ...Conflict[]] };

/**
 * Compares a file with every stored form of its name. Without `trust` metadata counts for nothing and contents are read: what
 * a put that failed has left would vouch for itself.
 *
 * | stored forms                                                    | answer                                    |
 * |-----------------------------------------------------------------|-------------------------------------------|
 * | none                                                            | free                                      |
 * | all with this content                                           | stored: nothing to write                  |
 * | any with another content                                        | conflict                                  |
 * | metadata names this content, but not all of the object is there | broken: may be replaced (some stores keep  |
 * |                                                                 | what came of a put that was cut off)      |
 * | read whole, twice the same ETag, and its format says that it    | broken: may be replaced where the store   |
 * | cannot be decoded                                               | honours the condition on that ETag, else  |
 * |                                                                 | CorruptError: its content is not known    |
 * | any that the store will not show                                | the StoreError                            |
 */
export async function compareStored(
  archive: Archive,
  stored: StoredWal[],
  content: ContentFacts,
  signal: AbortSignal,
  options: { trust: boolean },
): Promise<Comparison> {
  const broken: ObjectInfo[] = [];
  const conflicts: Conflict[] = [];
  let same = false;
  for (const object of stored) {
    const head = await archive.storage.head(object.key, { signal });
    if (head === undefined) continue;
    const whole = isWhole(head);
    if (!whole && digestFromMetadata(head) === content.sha256) {
      broken.push(head);
      continue;
    }
    const facts =
      (whole && options.trust ? contentFromMetadata(head) : undefined) ??
      (await readContent(archive, object, head, signal));
    if (facts === 'absent') continue;
    if (facts === 'broken') broken.push(head);
    else if (facts.sha256 === content.sha256) same = true;
    else conflicts.push({ object, info: head, facts });
  }
  const [conflict, ...others] = conflicts;
  if (conflict !== undefined) return { outcome: 'conflict', conflicts: [conflict, ...others] };
  return same ? { outcome: 'stored' } : { outcome: 'free', broken };
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
  head: ObjectInfo,
  signal: AbortSignal,
): Promise<ContentFacts | 'absent' | 'broken'> {
  const { storage, location } = archive;
  const answer = await storage.get(object.key, { signal });
  if (answer === undefined) return 'absent';
  const digest = new Digest();
  const nowhere = new Writable({ write: (_chunk, _encoding, callback) => callback() });
  try {
    await pipeline(answer.body, object.codec.decoder(), digest, nowhere, { signal });
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error;
    if (storage.capabilities.conditionalPut && (await isBroken(archive, object, head, signal))) return 'broken';
    const advice = 'nothing was overwritten; look at the object, and move it away if it is of no use';
    const message = `${object.key} is stored but cannot be decoded (${location}): ${error.message}; ${advice}`;
    throw new CorruptError(message, { cause: error });
  }
  return { sha256: digest.hex, sizeBytes: digest.sizeBytes };
}

/**
 * Whether an object that did not decode is broken as it lies in the store, and not on its way here: read once more, to its
 * last byte and under its ETag, its format says so again.
 */
async function isBroken(archive: Archive, object: StoredWal, head: ObjectInfo, signal: AbortSignal): Promise<boolean> {
  const answer = await archive.storage.get(object.key, { signal, etag: head.etag });
  if (answer === undefined) return false;
  const verdict = new DecodeVerdict(object.codec);
  await pipeline(answer.body, verdict, { signal });
  const whole = verdict.receivedBytes === head.sizeBytes && verdict.receivedBytes === answer.info.sizeBytes;
  return whole && verdict.failed;
}
