// One server's backups in one bucket, and the policy that it has.
import type { Archive } from '../../sidecar/store/archive.ts';
import { createS3Storage } from '../../sidecar/store/s3.ts';
import { FakeStorage, fakeArchive } from '../fake-storage.ts';
import { settingsFor } from '../servers/answering-s3.ts';

export type RetentionPlace = {
  endpoint: string;
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  policy: string;
  /** RFC 3339. */
  now: string;
};

/** Its archive over a storage of its own, which the caller closes. */
export function archiveIn({ endpoint, bucket, credentials }: RetentionPlace): Archive {
  return {
    ...fakeArchive(new FakeStorage()),
    storage: createS3Storage(settingsFor(endpoint, { bucket, credentials })),
  };
}
