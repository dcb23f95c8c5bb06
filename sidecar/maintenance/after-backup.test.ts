import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, PreconditionError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { plantBackup } from '../../test/planted-backups.ts';
import { showingWindow } from './after-backup.ts';

const CLUSTER: Cluster = {
  metadata: { name: 'pg' },
  spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio' } }] },
};

test('after a backup the window of the catalog is shown, and its answer is given on', async () => {
  const { take, shown } = stage(async () => 'taken');
  assert.equal(await take({ cluster: CLUSTER }), 'taken');
  assert.deepEqual(shown, ['A']);
});

test('after a failure the time of it is shown, and the failure is given on', async () => {
  const { take, shown } = stage(async () => {
    throw new PreconditionError('no room');
  });
  await assert.rejects(take({ cluster: CLUSTER }), /no room/);
  assert.deepEqual(shown, ['failed']);
});

test('a request that was turned away while another backup runs is no failure of one', async () => {
  const { take, shown } = stage(async () => {
    throw new ConflictError('busy');
  });
  await assert.rejects(take({ cluster: CLUSTER }), ConflictError);
  assert.deepEqual(shown, []);
});

test('a window that cannot be shown changes neither answer', async () => {
  const broken = new FakeStorage();
  broken.fail('list', 'broken');
  assert.equal(await stage(async () => 'taken', broken).take({ cluster: CLUSTER }), 'taken');
  const without = stage(async () => 'taken');
  assert.equal(await without.take({ cluster: { ...CLUSTER, spec: {} } }), 'taken');
  assert.deepEqual(without.shown, []);
});

function stage(run: () => Promise<string>, storage = new FakeStorage()) {
  plantBackup(storage, { id: 'A', day: 1, begin: 1 });
  const shown: string[] = [];
  const windows = {
    show: () => undefined,
    publish: async (_archive: unknown, entries: readonly { id: string }[]) => {
      shown.push(...entries.map(({ id }) => id));
    },
    publishFailure: async () => void shown.push('failed'),
  };
  const archives = { open: async () => fakeArchive(storage) };
  return {
    take: showingWindow({ archives, windows, log: silentLog() }, (_request: { cluster: Cluster }) => run()),
    shown,
  };
}
