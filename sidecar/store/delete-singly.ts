// Deleting where a store deletes no batches.
import { StoreError } from '../../api/errors.ts';
import type { StoreDeleteFailure } from './store.ts';

/** `atOnce` side by side. What the store refuses is listed, what is absent counts as deleted; any other trouble is thrown. */
export async function deleteSingly(
  keys: readonly string[],
  atOnce: number,
  send: (key: string) => Promise<unknown>,
): Promise<StoreDeleteFailure[]> {
  const failures: StoreDeleteFailure[] = [];
  const deleteOne = async (key: string) => {
    try {
      await send(key);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.failure === 'refused' || error.failure === 'conflict') failures.push({ key, reason: error.message });
      else if (error.failure !== 'absent') throw error;
    }
  };
  for (let from = 0; from < keys.length; from += atOnce) {
    const settled = await Promise.allSettled(keys.slice(from, from + atOnce).map(deleteOne));
    const failed = settled.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
  return failures;
}
