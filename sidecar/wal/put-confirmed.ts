// Stores a packed file so that it can be compared later, and believes the store only if it holds all that was sent.
import { StoreError } from '../../api/errors.ts';
import type { Archive } from '../store/archive.ts';
import type { PutOptions } from '../store/store.ts';
import { metadataFor } from './already-stored.ts';
import type { PackedFile } from './pack.ts';

/**
 * The adapter has compared what the store answers with what it sent; the size that was shown is compared with ours here.
 * Throws StoreError: what the store answers, or `broken` when it holds another size.
 */
export async function putConfirmed(
  archive: Archive,
  key: string,
  packed: PackedFile,
  options: Omit<PutOptions, 'metadata'>,
): Promise<void> {
  const { provider } = archive.storage;
  const { sizeBytes } = await archive.storage.put(key, packed.body, { ...options, metadata: metadataFor(packed) });
  if (sizeBytes === packed.storedBytes) return;
  const reason = `${packed.storedBytes} bytes were sent but the store holds ${sizeBytes}`;
  throw new StoreError({ failure: 'broken', provider, operation: 'put', key, reason });
}
