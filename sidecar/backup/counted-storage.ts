// A store whose requests are counted, by operation and by how they ended.
import { errorMonitor } from 'node:events';
import type { Archive, Archives } from '../store/archive.ts';
import type { MultipartUpload, ObjectInfo, ObjectStorage } from '../store/store.ts';
import { classOf } from '../telemetry/failure-class.ts';

/** `status` is `ok`, `absent` (looked for and positively not there), or the class of the failure. */
export type CountRequest = (operation: StoreOperation, status: string) => void;

export const STORE_OPERATIONS = [
  'put',
  'head',
  'get',
  'get_body',
  'list',
  'list_folders',
  'delete',
  'multipart_create',
  'multipart_part',
  'multipart_complete',
  'multipart_abort',
  'abort_orphans',
] as const;

export type StoreOperation = (typeof STORE_OPERATIONS)[number];

/** The same archives, all of whose requests are counted. One store stays one store: callers compare them. */
export function countedArchives(archives: Archives, count: CountRequest): Archives {
  const counted = new WeakMap<ObjectStorage, ObjectStorage>();
  return {
    async open(reference): Promise<Archive> {
      const archive = await archives.open(reference);
      const storage = counted.get(archive.storage) ?? countedStorage(archive.storage, count);
      counted.set(archive.storage, storage);
      return { ...archive, storage };
    },
  };
}

/**
 * The same store. Counted is what a caller asks for: a listing once, however many pages it has; an adapter's own retries not
 * at all. A body that breaks off is counted under `get_body`. What ends because its caller has given up is `cancelled`.
 */
export function countedStorage(storage: ObjectStorage, count: CountRequest): ObjectStorage {
  const counting = async <T>(operation: StoreOperation, own: Signalled, work: () => Promise<T>): Promise<T> => {
    try {
      const answer = await work();
      count(operation, answer === undefined && LOOKS.has(operation) ? 'absent' : 'ok');
      return answer;
    } catch (error) {
      count(operation, statusOf(error, own));
      throw error;
    }
  };
  const countingList = async function* <T>(
    operation: StoreOperation,
    own: Signalled,
    items: AsyncIterable<T>,
  ): AsyncGenerator<T> {
    let status = 'ok';
    try {
      yield* items;
    } catch (error) {
      status = statusOf(error, own);
      throw error;
    } finally {
      count(operation, status);
    }
  };
  const countedUpload = (upload: MultipartUpload): MultipartUpload => ({
    part: (number, bytes, own = {}) => counting('multipart_part', own, () => upload.part(number, bytes, own)),
    complete: (own = {}) => counting('multipart_complete', own, () => upload.complete(own)),
    abort: () => counting('multipart_abort', {}, () => upload.abort()),
  });

  return {
    provider: storage.provider,
    get capabilities() {
      return storage.capabilities;
    },
    put: (key, body, own = {}) => counting('put', own, () => storage.put(key, body, own)),
    head: (key, own = {}) => counting('head', own, () => storage.head(key, own)),
    async get(key, own = {}) {
      const found = await counting('get', own, () => storage.get(key, own));
      found?.body.once(errorMonitor, (error) => count('get_body', statusOf(error, own)));
      return found;
    },
    list: (prefix, own = {}): AsyncIterable<ObjectInfo> => countingList('list', own, storage.list(prefix, own)),
    listFolders: (prefix, own = {}) => countingList('list_folders', own, storage.listFolders(prefix, own)),
    delete: (keys, own = {}) => counting('delete', own, () => storage.delete(keys, own)),
    createMultipart: async (key, own = {}) =>
      countedUpload(await counting('multipart_create', own, () => storage.createMultipart(key, own))),
    abortOrphans: (prefix, before, own = {}) =>
      counting('abort_orphans', own, () => storage.abortOrphans(prefix, before, own)),
    close: () => storage.close(),
  };
}

type Signalled = { signal?: AbortSignal };

/** Operations that answer nothing when nothing is there. */
const LOOKS: ReadonlySet<StoreOperation> = new Set(['head', 'get']);

function statusOf(error: unknown, { signal }: Signalled): string {
  return signal?.aborted ? 'cancelled' : classOf(error);
}
