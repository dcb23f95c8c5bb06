import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { KEYS, plantBackup } from '../../test/planted-backups.ts';
import { listBackups } from '../backup/catalog.ts';
import { createBackupObjects } from './backup-objects.ts';

const SIGNAL = AbortSignal.timeout(30_000);
const CLUSTER: Cluster = { metadata: { name: 'pg', uid: 'c-1' }, spec: {} };
const HERE = { destination: 's3://bucket/backups', serverName: 'pg' };

test('an object whose data is gone is removed, one whose data is there stays', async () => {
  const { round, names } = stage([object('a', 'A', HERE), object('b', 'B', HERE)]);
  await round();
  assert.deepEqual(names(), ['a']);
});

test('a moved store deletes no history', async () => {
  for (const elsewhere of [
    { ...HERE, destination: 's3://old-bucket/backups' },
    { ...HERE, destination: 's3://bucket/backups at http://old-minio:9000' },
    { ...HERE, serverName: 'pg-v1' },
  ]) {
    const { round, names } = stage([object('b', 'B', elsewhere)]);
    await round();
    assert.deepEqual(names(), ['b'], JSON.stringify(elsewhere));
  }
});

test('an object of the Go plugin goes when its data was seen here, in an earlier round or by retention, before it was deleted', async () => {
  const { round, names, storage } = stage([object('a', 'A'), object('b', 'B'), object('c', 'C')]);
  await round();
  assert.deepEqual(names(), ['a', 'b', 'c'], 'B and C may be in another store');
  storage.objects.delete(KEYS.backupInfo('A'));
  await round(['C']);
  assert.deepEqual(names(), ['b']);
});

test('what was seen in one place proves nothing about another', async () => {
  const { round, names, archive, storage } = stage([object('a', 'A')]);
  await round();
  archive.objectStore.spec.configuration.destinationPath = 's3://moved/';
  storage.objects.clear();
  await round();
  assert.deepEqual(names(), ['a']);
});

test('a Cluster that has taken another server name deletes no history', async () => {
  const { round, names, archive } = stage([object('b', 'B', HERE)]);
  archive.serverName = 'pg-v2';
  await round();
  assert.deepEqual(names(), ['b']);
});

test('a backup that ends while the catalog is read stays: its backup.info is looked for once more', async () => {
  const { objects, storage, archive, names } = stage([object('b', 'B', HERE)]);
  const records = await objects.list(CLUSTER, SIGNAL);
  const catalog = await listBackups(archive, SIGNAL);
  plantBackup(storage, { id: 'B', day: 2, begin: 2 });
  await objects.forget({ archive, records, catalog, deleted: [] }, SIGNAL);
  assert.deepEqual(names(), ['b']);
});

test('a store that does not answer removes nothing', async () => {
  const { round, names, storage } = stage([object('b', 'B', HERE)]);
  storage.fail('head', 'broken');
  await assert.rejects(round(), { name: 'StoreError' });
  assert.deepEqual(names(), ['b']);
});

test('Backups that may not be listed are left alone; one that may not be deleted is tried again, the others go', async () => {
  const { round, names, refuse } = stage([object('b', 'B'), object('d', 'D', HERE)]);
  refuse.list = true;
  await round(['B']);
  assert.deepEqual(names(), ['b', 'd']);
  refuse.list = false;
  refuse.name = 'b';
  await round();
  assert.deepEqual(names(), ['b']);
  refuse.name = '';
  await round();
  assert.deepEqual(names(), [], 'that B was here is remembered');
});

function object(name: string, backupId: string, place: Record<string, string> = {}): Backup {
  const pluginMetadata = { clusterUID: 'c-1', pluginName: PLUGIN_NAME, ...place };
  return {
    metadata: { name, uid: `uid-${name}` },
    spec: { cluster: { name: 'pg' } },
    status: { phase: 'completed', method: 'plugin', backupId, pluginMetadata },
  };
}

/** A store that holds backup A, and the objects of a namespace. */
function stage(given: Backup[]) {
  const storage = new FakeStorage();
  plantBackup(storage, { id: 'A', day: 1, begin: 1 });
  const archive = fakeArchive(storage);
  let stored = given;
  const refuse = { list: false, name: '' };
  const objects = createBackupObjects({
    backups: {
      async *list() {
        if (refuse.list) throw new Error('forbidden');
        yield* stored;
      },
      async remove(_namespace, name, uid) {
        if (name === refuse.name) throw new Error('forbidden');
        stored = stored.filter(({ metadata }) => metadata.uid !== uid);
        return true;
      },
    },
    namespace: 'default',
    ambientEndpoint: undefined,
    log: silentLog(),
  });
  const round = async (deleted: string[] = []) => {
    const records = await objects.list(CLUSTER, SIGNAL);
    await objects.forget({ archive, records, catalog: await listBackups(archive, SIGNAL), deleted }, SIGNAL);
  };
  return { objects, round, storage, archive, refuse, names: () => stored.map(({ metadata }) => metadata.name) };
}
