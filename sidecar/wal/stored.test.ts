import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import { parseWalName, type WalName } from '../../api/wal-name.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { listStored, parseStoredName } from './stored.ts';

const X = '0000000100000004000000A7';
const FOLDER = 'backups/pg/wals/0000000100000004/';
const quiet = new AbortController().signal;

test('a stored name is a WAL name with at most one suffix of a codec', () => {
  const read = (name: string) => {
    const stored = parseStoredName(name);
    return stored && [stored.name.kind, stored.name.name, stored.codec.name];
  };
  assert.deepEqual(read(X), ['segment', X, 'none']);
  assert.deepEqual(read(`${X}.gz`), ['segment', X, 'gzip']);
  assert.deepEqual(read(`${X}.partial.snappy`), ['partial', `${X}.partial`, 'snappy']);
  assert.deepEqual(read(`${X}.00000028.backup.zst`), ['backup-label', `${X}.00000028.backup`, 'zstd']);
  assert.deepEqual(read('00000002.history.lz4'), ['history', '00000002.history', 'lz4']);
  for (const name of [`${X}.zip`, `${X}.gz.bz2`, `${X}.gz.tmp`, 'README', '.gz', '', `${X}0`]) {
    assert.equal(read(name), undefined, name);
  }
});

test('finds every form of a name with one request, and nothing that only starts alike', async () => {
  const storage = new FakeStorage();
  const forms = [X, `${X}.bz2`, `${X}.gz`, `${X}.partial`, `${X}.partial.gz`];
  const others = [`${X}.00000028.backup`, `${X}.00000028.backup.gz`, `${X}.zip`, `${X}/${X}`];
  for (const name of [...forms, ...others]) storage.plant(FOLDER + name, 'content');
  const stored = await listStored(fakeArchive(storage), wal(X), quiet);
  assert.deepEqual(stored.map(({ key }) => key).sort(), forms.map((name) => FOLDER + name).sort());
  assert.deepEqual(storage.requests, [`list ${FOLDER}${X}`]);
});

test('a miss costs one request', async () => {
  const storage = new FakeStorage();
  assert.deepEqual(await listStored(fakeArchive(storage), wal('00000002.history'), quiet), []);
  assert.deepEqual(storage.requests, ['list backups/pg/wals/00000002.history']);
});

test('a name in lower case is looked for as it is, in the folder in upper case', async () => {
  const storage = new FakeStorage();
  storage.plant(`${FOLDER}${X.toLowerCase()}`, 'content');
  storage.plant(`${FOLDER}${X}`, 'content');
  const stored = await listStored(fakeArchive(storage), wal(X.toLowerCase()), quiet);
  assert.deepEqual(
    stored.map(({ key }) => key),
    [`${FOLDER}${X.toLowerCase()}`],
  );
});

test('a refused listing is an error, never an absence', async () => {
  const storage = new FakeStorage();
  storage.fail('list', 'refused');
  await assert.rejects(listStored(fakeArchive(storage), wal(X), quiet), StoreError);
});

function wal(name: string): WalName {
  const parsed = parseWalName(name);
  assert.ok(parsed);
  return parsed;
}
