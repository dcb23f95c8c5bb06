// One server name in one bucket, as both parties are told of it.
import type { ObjectStoreConfiguration } from '../../../api/objectstore.ts';
import type { Archive, Archives } from '../../../sidecar/store/archive.ts';
import type { ObjectStorage } from '../../../sidecar/store/store.ts';
import { FakeStorage, fakeArchive } from '../../fake-storage.ts';
import { BUCKET } from '../../wal-place.ts';
import type { StoreForBarman } from '../barman.ts';
import type { Codec } from './cells.ts';

export type Place = {
  store: StoreForBarman;
  url: string;
  server: string;
  codec: Codec;
  maxArchiveSize: string | undefined;
  archive: Archive;
  archives: Archives;
};

export const STORE = 'store';

/**
 * `maxArchiveSize` as the tools take it; undefined: their default. `relocations`: tablespaces that our ObjectStore puts
 * elsewhere, `NAME:LOCATION`.
 */
export function openPlace(options: {
  store: StoreForBarman;
  storage: ObjectStorage;
  server: string;
  codec: Codec;
  maxArchiveSize?: string;
  relocations?: string[];
}): Place {
  const { store, storage, server, codec, maxArchiveSize, relocations = [] } = options;
  const compression = codec === 'none' ? {} : { compression: codec };
  const additionalCommandArgs = maxArchiveSize === undefined ? [] : [`--max-archive-size=${maxArchiveSize}`];
  const configuration: Partial<ObjectStoreConfiguration> = {
    wal: compression,
    data: {
      ...{ ...compression, immediateCheckpoint: true, additionalCommandArgs },
      restoreAdditionalCommandArgs: relocations.map((relocation) => `--tablespace=${relocation}`),
    },
  };
  const archive: Archive = {
    ...fakeArchive(new FakeStorage(), configuration, { objectStore: STORE, serverName: server }),
    storage,
  };
  return {
    ...{ store, server, codec, maxArchiveSize, archive },
    url: `s3://${BUCKET}/backups`,
    archives: { open: async () => archive },
  };
}
