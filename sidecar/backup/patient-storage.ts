// A store that waits out trouble: hours of copying must not be lost to a store that is away for half a minute.
import type { Log } from '../../api/wire/log.ts';
import type { GetOptions, MultipartUpload, ObjectInfo, ObjectStorage, PutBody, PutOptions } from '../store/store.ts';
import { DEFAULT_PATIENCE, type Patience, persist } from '../wal/persist.ts';

/** Waits between tries as in `persist`; each request is repeated for so long. */
export const BACKUP_PATIENCE: Patience = { ...DEFAULT_PATIENCE, limitMs: 120_000, logEveryMs: 15_000 };

export type PatientOptions = {
  /** Ends every wait. */
  signal: AbortSignal;
  log: Log;
  patience?: Patience;
  /** Told of each object that the store has confirmed. */
  onStored?: (info: ObjectInfo) => void;
};

type Signalled = { signal?: AbortSignal };

/**
 * The same store, whose requests are repeated while the store throttles or is broken, after the adapter's own retries
 * and for `patience.limitMs` each; then the last error is thrown. Anything else is thrown at once, a conditional put is
 * never repeated (the first try may have met its own condition), and giving an upload up is tried once only.
 */
export function patientStorage(storage: ObjectStorage, options: PatientOptions): ObjectStorage {
  const { log, patience = BACKUP_PATIENCE, onStored = () => undefined } = options;
  const patiently = <T>(what: string, own: Signalled, work: () => Promise<T>): Promise<T> => {
    const signal = own.signal ?? options.signal;
    return persist(work, { inRecovery: false, signal, patience, log, what });
  };

  const patientUpload = (key: string, upload: MultipartUpload): MultipartUpload => ({
    part: (number, bytes, own = {}) =>
      patiently(`part ${number} of ${key}`, own, () => upload.part(number, bytes, own)),
    complete: async (own = {}) => {
      const info = await patiently(`the end of the upload of ${key}`, own, () => upload.complete(own));
      onStored(info);
      return info;
    },
    abort: () => upload.abort(),
  });

  return {
    provider: storage.provider,
    get capabilities() {
      return storage.capabilities;
    },
    put: async (key: string, body: PutBody, own: PutOptions = {}) => {
      const put = () => storage.put(key, body, own);
      const info = await (own.onlyIf === undefined ? patiently(`the upload of ${key}`, own, put) : put());
      onStored(info);
      return info;
    },
    createMultipart: async (key, own = {}) => {
      const begin = () => storage.createMultipart(key, own);
      return patientUpload(key, await patiently(`the begin of the upload of ${key}`, own, begin));
    },
    head: (key, own = {}) => patiently(`a look at ${key}`, own, () => storage.head(key, own)),
    get: (key: string, own: GetOptions = {}) => patiently(`the read of ${key}`, own, () => storage.get(key, own)),
    delete: (keys, own = {}) => patiently('a deletion', own, () => storage.delete(keys, own)),
    abortOrphans: (prefix, before, own = {}) =>
      patiently(`the look for uploads under ${prefix}`, own, () => storage.abortOrphans(prefix, before, own)),
    list: (prefix, own = {}) => {
      const from = (startAfter: string | undefined) =>
        storage.list(prefix, { ...own, ...(startAfter === undefined ? {} : { startAfter }) });
      return resumed(from, own.startAfter, (next) => patiently(`the listing of ${prefix}`, own, next));
    },
    listFolders: (prefix, own) => storage.listFolders(prefix, own),
    close: () => storage.close(),
  };
}

/** A listing that goes on behind its last key when a page fails. */
async function* resumed(
  from: (startAfter: string | undefined) => AsyncIterable<ObjectInfo>,
  startAfter: string | undefined,
  patiently: <T>(next: () => Promise<T>) => Promise<T>,
): AsyncGenerator<ObjectInfo> {
  let last = startAfter;
  let listing = from(last)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await patiently(async () => {
        try {
          return await listing.next();
        } catch (error) {
          listing = from(last)[Symbol.asyncIterator]();
          throw error;
        }
      });
      if (done) return;
      last = value.key;
      yield value;
    }
  } finally {
    await listing.return?.();
  }
}
