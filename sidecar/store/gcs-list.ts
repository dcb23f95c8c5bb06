// Listing and deleting.
import { StoreError } from '../../api/errors.ts';
import type { GcsCalls } from './gcs-calls.ts';
import { listedObject } from './gcs-object.ts';
import type { ObjectInfo, StoreDeleteFailure } from './store.ts';

/** Google has no request that deletes many: its batches are as many requests in one envelope. */
const DELETES_AT_ONCE = 16;
const LIST = 'objects.list';

type ListOptions = { signal?: AbortSignal; startAfter?: string };

/** Objects below a prefix in key order. */
export async function* listObjects(calls: GcsCalls, prefix: string, options: ListOptions): AsyncIterable<ObjectInfo> {
  const query = { startOffset: options.startAfter, fields: 'nextPageToken,items(name,size,generation,timeCreated)' };
  for await (const page of pages(calls, prefix, query, options.signal)) {
    for (const item of itemsOf(page.items)) {
      const info = listedObject(item);
      // The store begins with the very key.
      if (info.key !== options.startAfter) yield info;
    }
  }
}

/** Folders one level below a prefix. */
export async function* listFolders(calls: GcsCalls, prefix: string, options: ListOptions): AsyncIterable<string> {
  for await (const page of pages(calls, prefix, { delimiter: '/', fields: 'nextPageToken,prefixes' }, options.signal)) {
    for (const folder of Array.isArray(page.prefixes) ? page.prefixes : []) yield String(folder);
  }
}

/** Deletes objects, several at a time; what the store refuses is told, any other trouble is thrown. */
export async function deleteObjects(
  calls: GcsCalls,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<StoreDeleteFailure[]> {
  const failures: StoreDeleteFailure[] = [];
  for (let from = 0; from < keys.length; from += DELETES_AT_ONCE) {
    const batch = keys.slice(from, from + DELETES_AT_ONCE);
    const settled = await Promise.allSettled(batch.map((key) => deleteObject(calls, key, signal)));
    for (const [index, outcome] of settled.entries()) {
      if (outcome.status === 'fulfilled') continue;
      const { reason } = outcome;
      if (!isRefusal(reason)) throw reason;
      failures.push({ key: batch[index] ?? '', reason: reason.message });
    }
  }
  return failures;
}

async function deleteObject(calls: GcsCalls, key: string, signal: AbortSignal | undefined): Promise<void> {
  const request = { operation: 'objects.delete', key, method: 'DELETE', path: calls.objectPath(key) };
  const answer = await calls.send({ ...request, alsoFine: [404], signal });
  answer.resume();
  if (answer.statusCode === 404) await calls.confirmBucket(signal);
}

function isRefusal(thrown: unknown): thrown is StoreError {
  return thrown instanceof StoreError && (thrown.failure === 'refused' || thrown.failure === 'conflict');
}

async function* pages(
  calls: GcsCalls,
  prefix: string,
  query: Record<string, string | undefined>,
  signal: AbortSignal | undefined,
): AsyncIterable<Record<string, unknown>> {
  let pageToken: string | undefined;
  for (;;) {
    const request = { operation: LIST, key: prefix, method: 'GET', path: calls.objectPath('') };
    const page = await calls.json({ ...request, query: { prefix, pageToken, ...query }, signal });
    yield page;
    const { nextPageToken } = page;
    if (typeof nextPageToken !== 'string' || nextPageToken === '') return;
    if (nextPageToken === pageToken) throw stuck(calls, prefix);
    pageToken = nextPageToken;
  }
}

function stuck(calls: GcsCalls, prefix: string): StoreError {
  const reason = 'the store says that the listing goes on but gives the same page again';
  return new StoreError({
    failure: 'broken',
    provider: 'gcs',
    ...calls.context({ operation: LIST, key: prefix }),
    reason,
  });
}

function itemsOf(items: unknown): Record<string, unknown>[] {
  return Array.isArray(items) ? items.map((item: object) => ({ ...item })) : [];
}
