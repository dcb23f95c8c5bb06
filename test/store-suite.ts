// The behaviour of every store: one suite over the port, run by each adapter's own test file. A store declares what it
// can do; what it cannot is asserted as such where there is an answer, and printed as not exercised where there is none.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { StoreError } from '../api/errors.ts';
import type { ObjectStorage } from '../sidecar/store/store.ts';

export type StoreUnderTest = {
  /** On a bucket (or container) that exists and is empty. */
  storage: ObjectStorage;
  /** The same server, a bucket that does not exist. */
  missingBucket: ObjectStorage;
  /** The same bucket with credentials that the server does not know. */
  strangers: ObjectStorage;
  stop(): Promise<void>;
};

/** What the server behind an adapter can do. */
export type StoreTraits = {
  /** So many keys make three pages of a listing. */
  keysOfThreePages: number;
  conditionalPut: boolean;
  listsUploads: boolean;
  /** Lists uploads of all keys under a prefix, not only of one key. */
  listsUploadsOfFolders?: boolean;
  abortsUploads: boolean;
  /** Stores nothing when a put is cut off. */
  dropsCutPuts: boolean;
  /** Lists a folder that holds only folders. */
  listsNestedFolders: boolean;
  /** Looks at credentials; an emulator may let in everybody. */
  knowsStrangers?: boolean;
  /** Confirms a part only after those before it. */
  partsInOrder?: boolean;
};

export function testStore(name: string, traits: StoreTraits, start: () => Promise<StoreUnderTest>): void {
  describe(`store port over ${name}`, () => {
    let store: StoreUnderTest;
    let storage: ObjectStorage;
    const notExercised: string[] = [];

    before(async () => {
      store = await start();
      storage = store.storage;
    });
    after(async () => {
      await store.stop();
      const cases = notExercised.map((title) => `\n  - ${title}`).join('');
      if (cases !== '') console.log(`${name}: ${notExercised.length} cases not exercised:${cases}`);
    });

    const testIf = (can: boolean, title: string, body: () => Promise<void>) => {
      if (can) test(title, body);
      else notExercised.push(title);
    };

    test('gives back what was put, with its metadata, size and ETag', async () => {
      const bytes = randomBytes(100_000);
      const put = await storage.put('a/put', bytes, { metadata: { digest: 'abc' } });
      assert.equal(put.sizeBytes, bytes.length);
      const head = await storage.head('a/put');
      assert.equal(head?.sizeBytes, bytes.length);
      assert.equal(head.etag, put.etag);
      assert.deepEqual(head.metadata, { digest: 'abc' });
      assert.ok(Math.abs(head.lastModified.getTime() - Date.now()) < 60_000);
      const got = await read(storage, 'a/put');
      assert.deepEqual(got.bytes, bytes);
      assert.deepEqual(got.info, head);
    });

    test('keeps an empty object', async () => {
      await storage.put('a/empty', new Uint8Array());
      assert.equal((await storage.head('a/empty'))?.sizeBytes, 0);
      assert.equal((await read(storage, 'a/empty')).bytes.length, 0);
    });

    test('puts a stream whose length is known', async () => {
      const bytes = randomBytes(300_000);
      await storage.put('a/stream', { stream: () => piecesOf(bytes), sizeBytes: bytes.length });
      assert.deepEqual((await read(storage, 'a/stream')).bytes, bytes);
    });

    test('refuses a stream that is shorter or longer than announced', async () => {
      for (const sizeBytes of [2_999, 3_001]) {
        const body = { stream: () => piecesOf(randomBytes(3_000)), sizeBytes };
        await assert.rejects(storage.put('a/lying', body), { name: 'CorruptError' });
      }
      if (traits.dropsCutPuts) assert.equal(await storage.head('a/lying'), undefined);
      else notExercised.push('stores nothing of a stream that is shorter or longer than announced');
    });

    test('throws the error of a stream that fails while it is put', async () => {
      const failing = () =>
        Readable.from(
          (async function* () {
            yield randomBytes(1000);
            throw new RangeError('disk on fire');
          })(),
        );
      await assert.rejects(storage.put('a/failing', { stream: failing, sizeBytes: 2000 }), /disk on fire/);
      if (traits.dropsCutPuts) assert.equal(await storage.head('a/failing'), undefined);
      else notExercised.push('stores nothing of a stream that fails while it is put');
    });

    test('keeps odd characters in keys', async () => {
      const keys = ["odd/blank and+plus&amp'quote", 'odd/ümläut €', 'odd/percent%20%2F', 'odd/(brackets)[x]=~!@$,;'];
      for (const key of keys) await storage.put(key, Buffer.from(key));
      for (const key of keys) assert.equal((await read(storage, key)).bytes.toString(), key);
      assert.deepEqual((await keysOf(storage, 'odd/')).sort(), [...keys].sort());
      assert.deepEqual(await storage.delete(keys), []);
      assert.deepEqual(await keysOf(storage, 'odd/'), []);
    });

    test('reads a range and still tells the size of the whole', async () => {
      const bytes = randomBytes(10_000);
      await storage.put('a/range', bytes);
      const tail = await read(storage, 'a/range', { offset: 9_000 });
      assert.deepEqual(tail.bytes, bytes.subarray(9_000));
      assert.equal(tail.info.sizeBytes, 10_000);
      const middle = await read(storage, 'a/range', { offset: 100, length: 50 });
      assert.deepEqual(middle.bytes, bytes.subarray(100, 150));
    });

    test('reads on only if the object is still the same', async () => {
      const { etag } = await storage.put('a/same', Buffer.from('one'));
      assert.equal((await read(storage, 'a/same', { etag })).bytes.toString(), 'one');
      await storage.put('a/same', Buffer.from('two'));
      await assert.rejects(storage.get('a/same', { etag }), { name: 'StoreError', failure: 'conflict' });
    });

    test('answers absent for an object that is not there', async () => {
      assert.equal(await storage.head('a/nothing'), undefined);
      assert.equal(await storage.get('a/nothing'), undefined);
    });

    test('never answers absent when it is the bucket that is not there', async () => {
      const misconfigured = { name: 'StoreError', failure: 'misconfigured' };
      await assert.rejects(store.missingBucket.head('a/put'), misconfigured);
      await assert.rejects(store.missingBucket.get('a/put'), misconfigured);
      await assert.rejects(keysOf(store.missingBucket, ''), misconfigured);
      await assert.rejects(store.missingBucket.put('a/put', Buffer.from('x')), misconfigured);
    });

    testIf(traits.knowsStrangers !== false, 'says refused, not absent, to credentials it does not know', async () => {
      for (const attempt of [
        () => store.strangers.head('a/put'),
        () => store.strangers.get('a/nothing'),
        () => store.strangers.put('a/put', Buffer.from('x')),
        () => keysOf(store.strangers, ''),
      ]) {
        const error = await attempt().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        assert.ok(error instanceof StoreError);
        assert.equal(error.failure, 'refused');
        assert.match(error.message, /Secret/);
      }
    });

    test('puts conditionally as far as it declares', async () => {
      await storage.put('c/first', Buffer.from('first'), { onlyIf: 'absent' });
      assert.equal((await read(storage, 'c/first')).bytes.toString(), 'first');
      assert.equal(storage.capabilities.conditionalPut, traits.conditionalPut);
    });

    testIf(traits.conditionalPut, 'does not replace an object that must be absent', async () => {
      await storage.put('c/taken', Buffer.from('mine'));
      const put = storage.put('c/taken', Buffer.from('yours'), { onlyIf: 'absent' });
      await assert.rejects(put, { name: 'StoreError', failure: 'conflict' });
      assert.equal((await read(storage, 'c/taken')).bytes.toString(), 'mine');
    });

    testIf(traits.conditionalPut, 'replaces exactly the object that was seen', async () => {
      const { etag } = await storage.put('c/seen', Buffer.from('old'));
      await storage.put('c/seen', Buffer.from('new'), { onlyIf: { etag } });
      const late = storage.put('c/seen', Buffer.from('late'), { onlyIf: { etag } });
      await assert.rejects(late, { name: 'StoreError', failure: 'conflict' });
      assert.equal((await read(storage, 'c/seen')).bytes.toString(), 'new');
    });

    test('lists keys in order, over pages, and on from a key', async () => {
      const count = traits.keysOfThreePages;
      const keys = Array.from({ length: count }, (_, index) => `list/${String(index).padStart(5, '0')}`);
      await inTurns(keys, 20, (key) => storage.put(key, Buffer.from('.')).then(() => undefined));
      assert.deepEqual(await keysOf(storage, 'list/'), keys);
      assert.deepEqual(await keysOf(storage, 'list/', keys[count - 10]), keys.slice(count - 9));
      for await (const { key } of storage.list('list/')) {
        assert.equal(key, keys[0]);
        break;
      }
      assert.deepEqual(await storage.delete([...keys, 'list/never-there']), []);
      assert.deepEqual(await keysOf(storage, 'list/'), []);
    });

    test('lists the folders one level below', async () => {
      for (const key of ['f/b/1', 'f/b/2', 'f/a/1', 'f/a/x/1', 'f/file']) await storage.put(key, Buffer.from('.'));
      assert.deepEqual(await foldersOf(storage, 'f/'), ['f/a/', 'f/b/']);
    });

    testIf(traits.listsNestedFolders, 'lists a folder that holds only folders', async () => {
      await storage.put('n/server/wals/1', Buffer.from('.'));
      assert.deepEqual(await foldersOf(storage, 'n/'), ['n/server/']);
    });

    test('joins parts that arrive in any order, visible only when complete', async () => {
      const size = storage.capabilities.minPartBytes;
      const parts = [randomBytes(size), randomBytes(size), randomBytes(1_000)];
      const upload = await storage.createMultipart('m/parts', { metadata: { kind: 'parts' } });
      const sent: Promise<void>[] = [];
      for (const number of [3, 1, 2]) {
        sent.push(upload.part(number, parts[number - 1] ?? Buffer.alloc(0)));
        if (traits.partsInOrder !== true) await sent.at(-1);
      }
      await Promise.all(sent);
      assert.equal(await storage.head('m/parts'), undefined);
      const info = await upload.complete();
      assert.equal(info.sizeBytes, 2 * size + 1_000);
      const got = await read(storage, 'm/parts');
      assert.ok(got.bytes.equals(Buffer.concat(parts)));
      assert.equal(got.info.etag, info.etag);
      assert.deepEqual(got.info.metadata, { kind: 'parts' });
    });

    testIf(
      traits.abortsUploads,
      'leaves nothing of an upload that was aborted, and aborts twice without a word',
      async () => {
        const upload = await storage.createMultipart('m/aborted');
        await upload.part(1, randomBytes(1_000));
        await upload.abort();
        await upload.abort();
        await assert.rejects(upload.part(2, randomBytes(1_000)), { name: 'StoreError' });
        assert.equal(await storage.head('m/aborted'), undefined);
      },
    );

    testIf(traits.listsUploads, 'aborts uploads that were started before a time, and no younger ones', async () => {
      const upload = await storage.createMultipart('orphans/one');
      await upload.part(1, randomBytes(1_000));
      assert.deepEqual(await storage.abortOrphans('orphans/one', new Date(Date.now() - 3_600_000)), []);
      assert.deepEqual(await storage.abortOrphans('orphans/one', new Date(Date.now() + 3_600_000)), ['orphans/one']);
      await assert.rejects(upload.complete(), { name: 'StoreError' });
    });

    testIf(traits.listsUploadsOfFolders === true, 'aborts the uploads of a whole folder', async () => {
      for (const key of ['folder/a', 'folder/b/c']) await (await storage.createMultipart(key)).part(1, randomBytes(10));
      const aborted = await storage.abortOrphans('folder/', new Date(Date.now() + 3_600_000));
      assert.deepEqual(aborted.sort(), ['folder/a', 'folder/b/c']);
    });

    test('names no orphans where there are none', async () => {
      assert.deepEqual(await storage.abortOrphans('nowhere/', new Date()), []);
    });

    test('obeys its signal in every verb and throws its reason', async () => {
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await assert.rejects(storage.put('s', Buffer.from('x'), { signal }), reason);
      await assert.rejects(storage.head('a/put', { signal }), reason);
      await assert.rejects(storage.get('a/put', { signal }), reason);
      await assert.rejects(storage.delete(['a/put'], { signal }), reason);
      await assert.rejects(storage.createMultipart('s', { signal }), reason);
      await assert.rejects(storage.abortOrphans('s', new Date(), { signal }), reason);
      await assert.rejects(async () => {
        for await (const _ of storage.list('', { signal })) break;
      }, reason);
    });

    test('stops a body in the middle when its signal fires', async () => {
      await storage.put('a/long', Buffer.alloc(4_000_000));
      const stop = new AbortController();
      const got = await storage.get('a/long', { signal: stop.signal });
      assert.ok(got);
      const reason = new Error('enough');
      await assert.rejects(async () => {
        for await (const _ of got.body) stop.abort(reason);
      }, reason);
    });
  });
}

/** Reads an object that must be there. */
export async function read(storage: ObjectStorage, key: string, options?: Parameters<ObjectStorage['get']>[1]) {
  const got = await storage.get(key, options);
  assert.ok(got, `${key} is absent`);
  return { info: got.info, bytes: await buffer(got.body) };
}

async function keysOf(storage: ObjectStorage, prefix: string, startAfter?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(prefix, startAfter === undefined ? {} : { startAfter })) keys.push(key);
  return keys;
}

async function foldersOf(storage: ObjectStorage, prefix: string): Promise<string[]> {
  const folders: string[] = [];
  for await (const folder of storage.listFolders(prefix)) folders.push(folder);
  return folders;
}

function piecesOf(bytes: Buffer): Readable {
  const pieces = Array.from({ length: Math.ceil(bytes.length / 1_000) }, (_, index) =>
    bytes.subarray(index * 1_000, (index + 1) * 1_000),
  );
  return Readable.from(pieces, { objectMode: false });
}

async function inTurns<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  for (let from = 0; from < items.length; from += atOnce) {
    await Promise.all(items.slice(from, from + atOnce).map(work));
  }
}
