// After the last upload: does the store still hold what it confirmed?
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../api/errors.ts';
import type { ObjectStorage } from '../store/store.ts';
import type { StoredTar } from './tar-object.ts';

/**
 * Compares each object's size and ETag with what was sent and confirmed. An ETag that is another one now is no proof (a
 * few stores spell it differently in each answer): then the bytes are read back and their checksum decides. Throws
 * CorruptError that names the object, StoreError when the store does not answer.
 *
 * `etags` are those that the uploads were answered with, by key.
 */
export async function verifyStored(
  storage: ObjectStorage,
  tars: readonly StoredTar[],
  etags: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<void> {
  for (const tar of tars) {
    const found = await storage.head(tar.key, { signal });
    if (found === undefined) throw new CorruptError(`${tar.key} was uploaded, but the store does not hold it`);
    if (found.sizeBytes !== tar.sizeBytes) {
      throw new CorruptError(`${tar.key}: sent ${tar.sizeBytes} bytes, the store holds ${found.sizeBytes}`);
    }
    if (found.etag !== etags.get(tar.key)) await compareBytes(storage, tar, signal);
  }
}

async function compareBytes(storage: ObjectStorage, tar: StoredTar, signal: AbortSignal): Promise<void> {
  const answer = await storage.get(tar.key, { signal });
  let checksum = 0;
  if (answer !== undefined) {
    await pipeline(
      answer.body,
      async (body: AsyncIterable<Buffer>) => {
        for await (const chunk of body) checksum = crc32(chunk, checksum);
      },
      { signal },
    );
  }
  const held = checksum.toString(16).padStart(8, '0');
  if (held !== tar.crc32) {
    throw new CorruptError(`${tar.key}: sent bytes with CRC-32 ${tar.crc32}, the store holds ${held}`);
  }
}
