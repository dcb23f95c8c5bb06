// MinIO lists the uploads of an exact key only: a dead run is found by what it wrote down before its first upload.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { silentLog } from '../../api/wire/log.ts';
import { type BackupManifest, formatManifest } from '../../sidecar/backup/manifest.ts';
import { abortOrphans } from '../../sidecar/backup/orphans.ts';
import type { Archive } from '../../sidecar/store/archive.ts';
import { serverKeys } from '../../sidecar/store/keys.ts';
import { startMinio } from '../servers/minio.ts';
import { BUCKET, openStorage } from '../wal-place.ts';

test('uploads of a dead run are found and aborted; those of another instance go on', async (t) => {
  const minio = await startMinio();
  t.after(() => minio.stop());
  await minio.createBucket(BUCKET);
  const storage = openStorage(t, minio);
  const keys = serverKeys('', 'pg');
  const objectStore = { metadata: { name: 'minio' }, spec: { configuration: { destinationPath: `s3://${BUCKET}` } } };
  const archive: Archive = { objectStore, serverName: 'pg', storage, keys, location: 'minio' };
  const bytes = Buffer.alloc(5 * 1024 * 1024);
  const begin = async (id: string, instance: string): Promise<string> => {
    const manifest: BackupManifest = {
      ...{ version: 1, state: 'running', instance, uploads: ['16384.tar.gz', 'data.tar.gz'], objects: [] },
      startedAt: new Date().toISOString(),
    };
    await storage.put(keys.manifest(id), Buffer.from(formatManifest(manifest)));
    await storage.put(keys.tablespace(id, '16384', 0, '.gz'), bytes);
    await storage.put(keys.data(id, 0, '.gz'), bytes);
    const key = keys.data(id, 1, '.gz');
    await (await storage.createMultipart(key)).part(1, bytes);
    return key;
  };
  const dead = await begin('20261125T100000', 'pg-1');
  const other = await begin('20261125T110000', 'pg-2');
  const openUnder = async (key: string): Promise<number> =>
    (await minio.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: key }))).Uploads?.length ?? 0;
  assert.deepEqual([await openUnder(dead), await openUnder(other)], [1, 1]);

  const signal = AbortSignal.timeout(60_000);
  await abortOrphans({ archive, instance: 'pg-1', now: new Date(), put: {}, signal, log: silentLog() });
  assert.deepEqual([await openUnder(dead), await openUnder(other)], [0, 1]);
});
