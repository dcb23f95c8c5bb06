// Retention on a full store: a destination with a trailing slash, uploads that can be listed by exact key only, versions
// under a lock.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CreateBucketCommand, PutObjectLegalHoldCommand } from '@aws-sdk/client-s3';
import { silentLog } from '../../api/wire/log.ts';
import { formatManifest } from '../../sidecar/backup/manifest.ts';
import { runRetention } from '../../sidecar/backup/retention.ts';
import { toDate } from '../../sidecar/backup/timestamp.ts';
import { serverKeys } from '../../sidecar/store/keys.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { FakeStorage, fakeArchive } from '../fake-storage.ts';
import { KEYS, november, plantBackup, plantWal, segment, walKey } from '../planted-backups.ts';
import { startMinio, type TestMinio } from '../servers/minio.ts';
import { BUCKET, openStorage } from '../wal-place.ts';

const SIGNAL = AbortSignal.timeout(120_000);
const [OLD, ANCHOR] = ['20261110T010000', '20261114T010000'] as const;
// A run that died: its objects are of today, so today must be long ago.
const DEAD = '20261112T010000';

let minio: TestMinio;
before(async () => {
  minio = await startMinio();
  await minio.createBucket(BUCKET);
  await minio.client.send(new CreateBucketCommand({ Bucket: 'locked', ObjectLockEnabledForBucket: true }));
});
after(() => minio.stop());

test('under a destination with a trailing slash it deletes what it should, uploads of dead runs included', async (t) => {
  const storage = openStorage(t, minio);
  await fill(storage);
  await storage.put(KEYS.data(DEAD, 0, '.gz'), Buffer.from('tar'));
  const manifest = formatManifest({
    version: 1,
    state: 'running',
    startedAt: '2026-11-12T01:00:00Z',
    instance: 'pg-1',
    uploads: ['data.tar.gz'],
    objects: [],
  });
  await storage.put(KEYS.manifest(DEAD), Buffer.from(manifest));
  const upload = await storage.createMultipart(KEYS.data(DEAD, 1, '.gz'));
  const now = new Date(Date.now() + 3 * 86_400_000);
  const archive = { ...fakeArchive(new FakeStorage()), storage, keys: serverKeys('backups/', 'pg') };
  const report = await runRetention({ archive, policy: '1d', now, signal: SIGNAL, log: silentLog() });
  assert.deepEqual(
    report.deleted.map(({ id }) => id),
    [DEAD, OLD],
  );
  assert.deepEqual(await keysOf(storage), [...folderOf(ANCHOR), walKey(segment(1, 20)), walKey(segment(1, 21))].sort());
  await assert.rejects(upload.complete(), { name: 'StoreError' });
});

test('versions under a legal hold stay behind a delete marker: the backup is gone from the listing, nothing is endless', async (t) => {
  const storage = openStorage(t, minio, { bucket: 'locked' });
  await fill(storage);
  const held = { Bucket: 'locked', Key: KEYS.data(OLD, 0, '.gz') };
  await minio.client.send(new PutObjectLegalHoldCommand({ ...held, LegalHold: { Status: 'ON' } }));
  const archive = { ...fakeArchive(new FakeStorage()), storage };
  const now = toDate(november(20));
  const report = await runRetention({ archive, policy: '1d', now, signal: SIGNAL, log: silentLog() });
  assert.deepEqual([report.deleted.map(({ id }) => id), report.locked.count], [[OLD], 0]);
  assert.equal((await keysOf(storage)).filter((key) => key.startsWith(KEYS.backup(OLD))).length, 0);
});

async function fill(storage: ObjectStorage): Promise<void> {
  const planted = new FakeStorage();
  plantBackup(planted, { id: OLD, day: 10, begin: 10 });
  plantBackup(planted, { id: ANCHOR, day: 14, begin: 20 });
  plantWal(planted, 1, 8, 21);
  for (const [key, { bytes }] of planted.objects) await storage.put(key, bytes);
}

function folderOf(id: string): string[] {
  return [KEYS.backupInfo(id), KEYS.data(id, 0, '.gz'), KEYS.data(id, 1, '.gz')];
}

async function keysOf(storage: ObjectStorage): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list('')) keys.push(key);
  return keys.sort();
}
