import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConflictError, StoreError } from '../../api/errors.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { assertEmptyArchive, EmptyArchiveGate } from './empty-archive.ts';

const X = '0000000100000004000000A7';
const quiet = new AbortController().signal;

test('any kind of WAL file, packed or not, makes the archive not empty', async () => {
  const found = [`0000000100000004/${X}`, `0000000100000004/${X}.gz`, `0000000100000004/${X}.partial.bz2`];
  for (const name of [...found, `0000000100000004/${X}.00000028.backup.xz`, '00000002.history.snappy']) {
    const storage = new FakeStorage();
    storage.plant(`backups/pg/wals/${name}`, 'content');
    await assert.rejects(assertEmptyArchive(fakeArchive(storage), quiet), (error) => {
      assert.ok(error instanceof ConflictError);
      assert.ok(error.message.includes(`backups/pg/wals/${name}`), 'names what was found');
      assert.match(error.message, /serverName.*cnpg\.io\/skipEmptyWalArchiveCheck=enabled/);
      return true;
    });
  }
});

test('other objects, base backups and other servers do not count', async () => {
  const storage = new FakeStorage();
  for (const key of [
    'backups/pg/wals/README',
    `backups/pg/wals/0000000100000004/${X}.zip`,
    `backups/pg/wals/0000000100000004/${X}.gz.bz2`,
    'backups/pg/base/20260301T020000/backup.info',
    `backups/pg2/wals/0000000100000004/${X}`,
  ]) {
    storage.plant(key, 'content');
  }
  await assertEmptyArchive(fakeArchive(storage), quiet);
});

test('a store that does not answer is an error, not an empty archive', async () => {
  const storage = new FakeStorage();
  storage.fail('list', 'misconfigured');
  await assert.rejects(assertEmptyArchive(fakeArchive(storage), quiet), StoreError);
});

test('a writer that comes while another relies on the check is let through to the same archive', async () => {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  const gate = new EmptyArchiveGate();
  const { promise, resolve } = Promise.withResolvers<void>();
  const { promise: writing, resolve: write } = Promise.withResolvers<void>();
  const first = gate.through(archive, true, quiet, async () => {
    storage.plant(`backups/pg/wals/0000000100000004/${X}`, 'ours');
    write();
    await promise;
  });
  await writing;
  await gate.through(archive, true, quiet, async () => undefined);
  resolve();
  await first;
  await gate.through(archive, true, quiet, async () => undefined);
  assert.equal(storage.requests.length, 1);
});

test('a passed check is forgotten when what relied on it failed', async () => {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  const gate = new EmptyArchiveGate();
  const failing = async () => {
    throw new Error('put failed');
  };
  await assert.rejects(gate.through(archive, true, quiet, failing), /put failed/);
  storage.plant(`backups/pg/wals/0000000100000004/${X}`, 'somebody else');
  await assert.rejects(
    gate.through(archive, true, quiet, async () => assert.fail('written')),
    ConflictError,
  );
});

test('owning one archive says nothing about another', async () => {
  const storage = new FakeStorage();
  const gate = new EmptyArchiveGate();
  gate.own(fakeArchive(storage));
  const other = fakeArchive(storage, {}, { objectStore: 'minio', serverName: 'other' });
  storage.plant(`backups/other/wals/0000000100000004/${X}`, 'theirs');
  await assert.rejects(
    gate.through(other, true, quiet, async () => undefined),
    ConflictError,
  );
});
