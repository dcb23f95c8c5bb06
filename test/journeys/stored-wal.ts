// What the archive really holds, looked at from outside: listed and read with the vendor's client, decoded by suffix.

import { decompress } from '../../sidecar/stream/whole.ts';
import { parseStoredName } from '../../sidecar/wal/stored.ts';
import { s3Buckets } from '../demo/bucket.ts';
import { BUCKET, type Stand } from '../stand.ts';

export type StoredWalObject = {
  key: string;
  name: string;
  codec: string /** Another one once it was written again. */;
  version: string;
};

export type StoredWal = {
  /** Every object below `wals/`; throws for one that is no WAL file in any form. */
  list(): Promise<StoredWalObject[]>;
  /** Its content; throws when it cannot be decoded. */
  read(object: StoredWalObject): Promise<Buffer>;
};

const PREFIX = 'pg-main/wals/';

/** Looks past any proxy. Closed by the stand's cleanup. */
export function openStoredWal(stand: Stand): StoredWal {
  const buckets = s3Buckets(stand.s3);
  stand.cleanup.add(async () => buckets.close());
  return {
    async list() {
      const objects = await buckets.list(BUCKET, PREFIX);
      return objects.map(({ key, sizeBytes, lastModified }) => ({
        ...{ ...parsed(key), key },
        version: `${sizeBytes} bytes of ${lastModified.toISOString()}`,
      }));
    },
    async read({ key }) {
      const bytes = await buckets.read(BUCKET, key);
      return decompress(parsed(key).stored.codec, bytes).catch((cause: unknown) => {
        throw new Error(`${key} cannot be decoded`, { cause });
      });
    },
  };
}

function parsed(key: string) {
  const stored = parseStoredName(key.slice(key.lastIndexOf('/') + 1));
  if (stored === undefined) throw new Error(`${key} is no WAL file`);
  return { stored, name: stored.name.name, codec: stored.codec.name };
}
