import assert from 'node:assert/strict';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { FakeStorage, fakeArchives } from '../../test/fake-storage.ts';
import { countedArchives, countedStorage } from './counted-storage.ts';

function stage() {
  const storage = new FakeStorage();
  const counts: Record<string, number> = {};
  const count = (operation: string, status: string) => {
    const name = `${operation} ${status}`;
    counts[name] = (counts[name] ?? 0) + 1;
  };
  return { storage, counts, count, counted: countedStorage(storage, count) };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test('every verb is passed on and counted', async () => {
  const { storage, counts, counted } = stage();
  await counted.put('a/x', Buffer.from('1'));
  assert.equal((await counted.head('a/x'))?.sizeBytes, 1);
  const found = await counted.get('a/x');
  assert.ok(found !== undefined);
  assert.equal(await text(found.body), '1');
  if (!found.body.closed) await once(found.body, 'close');
  assert.deepEqual(
    (await all(counted.list('a/'))).map(({ key }) => key),
    ['a/x'],
  );
  assert.deepEqual(await all(counted.listFolders('')), ['a/']);
  const upload = await counted.createMultipart('m');
  await upload.part(1, Buffer.from('2'));
  assert.equal((await upload.complete()).key, 'm');
  await upload.abort();
  await counted.abortOrphans('', new Date());
  assert.deepEqual(await counted.delete(['a/x']), []);
  assert.deepEqual([...storage.objects.keys()], ['m']);
  const each = ['put', 'head', 'get', 'list', 'list_folders', 'multipart_create', 'multipart_part'];
  const rest = ['multipart_complete', 'multipart_abort', 'abort_orphans', 'delete'];
  assert.deepEqual(counts, Object.fromEntries([...each, ...rest].map((operation) => [`${operation} ok`, 1])));
});

test('what is not there is absent, failures have their class, and the caller gets both as before', async () => {
  const { storage, counts, counted } = stage();
  assert.equal(await counted.head('x'), undefined);
  assert.equal(await counted.get('x'), undefined);
  storage.fail('put', 'throttled');
  await assert.rejects(counted.put('x', Buffer.from('')), { failure: 'throttled' });
  storage.fail('list', 'refused');
  await assert.rejects(all(counted.list('x')), { failure: 'refused' });
  storage.fail('multipart', 'broken');
  await assert.rejects(counted.createMultipart('x'), { failure: 'broken' });
  assert.deepEqual(counts, {
    'head absent': 1,
    'get absent': 1,
    'put throttled': 1,
    'list refused': 1,
    'multipart_create broken': 1,
  });
});

test('a caller that gives up is no failure of the store', async () => {
  const { counts, counted } = stage();
  await assert.rejects(counted.head('x', { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  assert.deepEqual(counts, { 'head cancelled': 1 });
});

test('a listing that its caller leaves is counted once, as good', async () => {
  const { storage, counts, counted } = stage();
  for (const key of ['a', 'b', 'c']) storage.plant(key, '');
  for await (const _ of counted.list('')) break;
  assert.deepEqual(counts, { 'list ok': 1 });
});

test('a body that breaks off is counted, and still fails for who reads it', async () => {
  const { storage, counts, counted } = stage();
  storage.plant('x', 'abc');
  const found = await counted.get('x');
  assert.ok(found !== undefined);
  found.body.destroy(new Error('cut'));
  await assert.rejects(finished(found.body), /cut/);
  assert.deepEqual(counts, { 'get ok': 1, 'get_body internal': 1 });
});

test('capabilities are the store’s own, also when they change', () => {
  const { storage, counted } = stage();
  storage.capabilities.conditionalPut = false;
  assert.equal(counted.capabilities.conditionalPut, false);
});

test('archives opened twice give the same store, and another one gives another', async () => {
  const { count } = stage();
  const archives = countedArchives(fakeArchives({ one: new FakeStorage(), two: new FakeStorage() }), count);
  const open = async (objectStore: string) => (await archives.open({ objectStore, serverName: 'pg' })).storage;
  assert.equal(await open('one'), await open('one'));
  assert.notEqual(await open('one'), await open('two'));
});
