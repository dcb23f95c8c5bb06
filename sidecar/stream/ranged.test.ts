// An object read by several ranges at a time.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FakeStorage } from '../../test/fake-storage.ts';
import { rangedGet } from './ranged.ts';

const KEY = 'k';
const SMALL = { rangeBytes: 100_000, parallel: 3, firstWaitMs: 1 };

for (const sizeBytes of [1, 99_999, 100_000, 100_001, 1_000_000, 1_234_567]) {
  test(`gives the ${sizeBytes} bytes of an object in order, in ranges`, async () => {
    const { storage, content } = stored(sizeBytes);
    const got = await rangedGet(storage, KEY, SMALL);
    assert.ok(got);
    assert.equal(got.info.sizeBytes, sizeBytes);
    assert.ok((await buffer(got.body)).equals(content));
    assert.equal(storage.requests.length, Math.ceil(sizeBytes / SMALL.rangeBytes));
  });
}

test('ranges that are answered in another order are handed over in theirs', async () => {
  const { storage, content } = stored(1_000_000);
  let count = 0;
  storage.before = async () => {
    // Every second answer waits for the two after it.
    if (count++ % 2 === 1) for (let turn = 0; turn < 20; turn++) await setImmediate();
  };
  const got = await rangedGet(storage, KEY, SMALL);
  assert.ok(got);
  assert.ok((await buffer(got.body)).equals(content));
});

test('no more ranges are in flight or waiting than it was told, however slow the reader', async () => {
  const { storage } = stored(2_000_000);
  const got = await rangedGet(storage, KEY, { ...SMALL, parallel: 2 });
  assert.ok(got);
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  assert.equal(storage.requests.length, 2);
  got.body.destroy();
});

test('each range goes on through failures, and every chunk is told of in order', async () => {
  const { storage, content } = stored(1_000_000);
  const seen: Buffer[] = [];
  const got = await rangedGet(storage, KEY, { ...SMALL, inspect: (chunk) => seen.push(chunk) });
  storage.fail('get', 'broken', 4);
  assert.ok(got);
  assert.ok((await buffer(got.body)).equals(content));
  assert.ok(Buffer.concat(seen).equals(content));
});

test('an object replaced in between is a conflict, never mixed content', async () => {
  const { storage } = stored(1_000_000);
  const got = await rangedGet(storage, KEY, SMALL);
  assert.ok(got);
  storage.plant(KEY, randomBytes(1_000_000));
  await assert.rejects(buffer(got.body), { name: 'StoreError', failure: 'conflict' });
});

test('a later range that is refused ends the body, and so does a first one', async () => {
  const { storage } = stored(1_000_000);
  const got = await rangedGet(storage, KEY, SMALL);
  assert.ok(got);
  storage.fail('get', 'refused');
  await assert.rejects(buffer(got.body), { name: 'StoreError', failure: 'refused' });
  storage.fail('get', 'refused');
  await assert.rejects(rangedGet(storage, KEY, SMALL), { name: 'StoreError', failure: 'refused' });
});

test('answers undefined for an object that is not there', async () => {
  assert.equal(await rangedGet(new FakeStorage(), KEY, SMALL), undefined);
});

test('asks for nothing more when its reader goes away or its signal fires', async () => {
  const { storage } = stored(2_000_000);
  const left = await rangedGet(storage, KEY, SMALL);
  assert.ok(left);
  for await (const _ of left.body) break;
  const asked = storage.requests.length;
  const stop = new AbortController();
  const reason = new Error('enough');
  const stopped = await rangedGet(storage, KEY, { ...SMALL, signal: stop.signal });
  assert.ok(stopped);
  const closed = once(stopped.body, 'close').catch(() => {});
  await assert.rejects(async () => {
    for await (const _ of stopped.body) stop.abort(reason);
  }, reason);
  await closed;
  const after = storage.requests.length;
  for (let turn = 0; turn < 50; turn++) await setImmediate();
  assert.equal(storage.requests.length, after);
  assert.ok(asked < 12 && after - asked < 12, `${asked} and ${after - asked} requests`);
});

test('requests that are under way are told when the reader has gone', async () => {
  const { storage } = stored(1_000_000);
  const signals: (AbortSignal | undefined)[] = [];
  const get = storage.get.bind(storage);
  storage.get = (key, options) => {
    signals.push(options?.signal);
    return get(key, options);
  };
  const got = await rangedGet(storage, KEY, SMALL);
  assert.ok(got);
  assert.equal(signals[0]?.aborted, false);
  got.body.destroy();
  assert.ok(signals.every((signal) => signal?.aborted));
});

function stored(sizeBytes: number): { storage: FakeStorage; content: Buffer } {
  const storage = new FakeStorage();
  const content = randomBytes(sizeBytes);
  storage.plant(KEY, content);
  return { storage, content };
}
