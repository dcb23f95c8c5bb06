// Stores a packed file so that it can be compared later, and believes the store only if it holds all that was sent.
import { StoreError } from '../../api/errors.ts';
import type { Archive } from '../store/archive.ts';
import type { PutOptions } from '../store/store.ts';
import { metadataFor } from './already-stored.ts';
import type { PackedFile } from './pack.ts';

/**
 * Resolves to whether the body was sent once and whole, so that nobody can be reading it any more. The adapter has compared what the store answers with what it sent; the size that was shown is compared with ours here.
 * Throws StoreError: what the store answers, or `broken` when it holds another size.
 */
export async function putConfirmed(
  archive: Archive,
  key: string,
  packed: PackedFile,
  options: Omit<PutOptions, 'metadata'>,
): Promise<boolean> {
  const { provider } = archive.storage;
  const info = await archive.storage.put(key, packed.body, { ...options, metadata: metadataFor(packed) });
  const { sizeBytes, sentOnce = false } = info;
  if (sizeBytes === packed.storedBytes) return sentOnce;
  const reason = `${packed.storedBytes} bytes were sent but the store holds ${sizeBytes}`;
  throw new StoreError({ failure: 'broken', provider, operation: 'put', key, reason });
}
