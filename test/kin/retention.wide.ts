// Retention on VersityGW, whose folders are folders of a disk: a destination with a trailing slash, and uploads of dead runs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { silentLog } from '../../api/wire/log.ts';
import { formatManifest } from '../../sidecar/backup/manifest.ts';
import { runRetention } from '../../sidecar/backup/retention.ts';
import { serverKeys } from '../../sidecar/store/keys.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { FakeStorage, fakeArchive } from '../fake-storage.ts';
import { KEYS, plantBackup, plantWal, segment, walKey } from '../planted-backups.ts';
import { startVersityGw, type TestVersityGw } from '../servers/versitygw.ts';
import { BUCKET, openStorage } from '../wal-place.ts';

const [OLD, ANCHOR] = ['20261110T010000', '20261114T010000'] as const;
// A run that died: its objects are of today, so today must be long ago.
const DEAD = '20261112T010000';

let gateway: TestVersityGw;
before(async () => {
  gateway = await startVersityGw();
  await gateway.createBucket(BUCKET);
});
after(() => gateway.stop());

test('under a destination with a trailing slash it deletes what it should, uploads of dead runs included', async (t) => {
  const storage = openStorage(t, gateway);
  const planted = new FakeStorage();
  plantBackup(planted, { id: OLD, day: 10, begin: 10 });
  plantBackup(planted, { id: ANCHOR, day: 14, begin: 20 });
  plantWal(planted, 1, 8, 21);
  for (const [key, { bytes }] of planted.objects) await storage.put(key, bytes);
  await storage.put(KEYS.data(DEAD, 0, '.gz'), Buffer.from('tar'));
  const manifest = formatManifest({
    ...{ version: 1, state: 'running', instance: 'pg-1', uploads: ['data.tar.gz'], objects: [] },
    startedAt: '2026-11-12T01:00:00Z',
  });
  await storage.put(KEYS.manifest(DEAD), Buffer.from(manifest));
  const upload = await storage.createMultipart(KEYS.data(DEAD, 1, '.gz'));
  await upload.part(1, Buffer.from('tar'));
  const now = new Date(Date.now() + 3 * 86_400_000);
  const archive = { ...fakeArchive(new FakeStorage()), storage, keys: serverKeys('backups/', 'pg') };
  const signal = AbortSignal.timeout(120_000);
  const report = await runRetention({ archive, policy: '1d', now, signal, log: silentLog() });
  assert.deepEqual(
    report.deleted.map(({ id }) => id),
    [DEAD, OLD],
  );
  const anchor = [KEYS.backupInfo(ANCHOR), KEYS.data(ANCHOR, 0, '.gz'), KEYS.data(ANCHOR, 1, '.gz')];
  assert.deepEqual(await keysOf(storage), [...anchor, walKey(segment(1, 20)), walKey(segment(1, 21))].sort());
  const folders: string[] = [];
  for await (const folder of storage.listFolders('backups/pg/base/')) folders.push(folder);
  assert.deepEqual(folders, [`backups/pg/base/${ANCHOR}/`]);
  await assert.rejects(upload.complete(), { name: 'StoreError' });
});

async function keysOf(storage: ObjectStorage): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list('')) keys.push(key);
  return keys.sort();
}
