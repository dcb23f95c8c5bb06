// The whole way of a segment through the real adapter and a real S3 server on loopback.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ConflictError, NotFoundError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import type { WalCompression } from '../../api/objectstore.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { startS3, type TestS3 } from '../../test/servers/s3rver.ts';
import { createS3Storage } from '../store/s3.ts';
import { DEFAULT_LIMITS } from '../store/s3-settings.ts';
import type { ObjectStorage } from '../store/store.ts';
import { createWalArchiver } from './archive.ts';
import { createWalRestorer } from './restore.ts';

const X = '0000000100000000000000A7';
const cluster: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [{ name: PLUGIN_NAME, isWALArchiver: true, parameters: { barmanObjectName: 'minio' } }] },
  status: { currentPrimary: 'pg-1' },
};
const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), 'cellar-round-trip-'));
const sourceFile = join(folder, 'pg_wal', X);
const destination = join(folder, 'RECOVERYXLOG');
let server: TestS3;
let storage: ObjectStorage;

before(async () => {
  server = await startS3();
  mkdirSync(join(folder, 'pg_wal'));
  storage = createS3Storage({
    ...DEFAULT_LIMITS,
    bucket: 'bucket',
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    trustedCertificates: undefined,
    conditionalPut: 'unknown',
    requestChecksums: 'WHEN_REQUIRED',
    responseChecksums: 'WHEN_REQUIRED',
  });
  await server.createBucket('bucket');
});

after(async () => {
  storage.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

for (const compression of [undefined, 'gzip', 'zstd'] as const) {
  test(`a segment stored with ${compression ?? 'no codec'} comes back, is known again, and is never replaced`, async () => {
    const content = Buffer.concat([randomBytes(1 << 19), Buffer.alloc(1 << 19)]);
    writeFileSync(sourceFile, content);
    const { archive, restore } = openAs(compression);
    await assert.rejects(restore(), NotFoundError);
    await archive();
    await archive();
    await restore();
    assert.ok(readFileSync(destination).equals(content));
    writeFileSync(sourceFile, randomBytes(1 << 20));
    await assert.rejects(archive(), ConflictError);
    await restore();
    assert.ok(readFileSync(destination).equals(content));
  });
}

function openAs(compression: WalCompression | undefined) {
  const configuration = compression === undefined ? {} : { wal: { compression } };
  const reference = { objectStore: 'minio', serverName: `pg-${compression ?? 'none'}` };
  const place = { ...fakeArchive(new FakeStorage(), configuration, reference), storage };
  const deps = { archives: { open: async () => place }, podName: 'pg-2', log: silentLog() };
  const archiver = createWalArchiver({ ...deps, pgdata: folder });
  const restorer = createWalRestorer({ ...deps, spoolDirectory: join(folder, 'spool') });
  return {
    archive: () => archiver.archive({ cluster, sourceFile, checkEmptyArchive: undefined, signal }),
    restore: () => restorer.restore({ cluster, walName: X, destination, rewind: false, signal }),
  };
}
