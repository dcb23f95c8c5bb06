// Deletes what a listing names, a batch at a time, and remembers what the store would not delete.
import type { ObjectStorage, StoreDeleteFailure } from '../store/store.ts';

/** Objects that are still there though they should not be: under a lock, or not ours to delete. */
export type Refusals = {
  count: number;
  /** The first of them, with the store's words. */
  examples: StoreDeleteFailure[];
};

/** Of the largest request that every store takes. */
const BATCH = 1000;
const SHOWN = 20;

export function noRefusals(): Refusals {
  return { count: 0, examples: [] };
}

/**
 * Deletes objects and returns how many are gone. Holds one batch of keys. What the store refuses is added to `refusals`
 * and not tried again; throws StoreError for any other trouble.
 */
export async function deleteObjects(
  storage: ObjectStorage,
  keys: AsyncIterable<string> | Iterable<string>,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  let batch: string[] = [];
  const flush = async () => {
    if (batch.length === 0) return;
    const refused = await storage.delete(batch, { signal });
    deleted += batch.length - refused.length;
    refusals.count += refused.length;
    refusals.examples.push(...refused.slice(0, SHOWN - refusals.examples.length));
    batch = [];
  };
  for await (const key of keys) {
    batch.push(key);
    if (batch.length === BATCH) await flush();
  }
  await flush();
  return deleted;
}
