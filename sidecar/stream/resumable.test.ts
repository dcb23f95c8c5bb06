import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { createS3Storage } from '../store/s3.ts';
import { resolveS3Settings } from '../store/s3-settings.ts';
import { resumableGet } from './resumable.ts';

const CONTENT = randomBytes(1_000_000);
const QUICK = { firstWaitMs: 1 };

test('goes on at its offset over cut bodies and gives the whole content', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const got = await resumableGet(served.storage, 'k', QUICK);
  assert.ok(got);
  assert.ok((await buffer(got.body)).equals(CONTENT));
  assert.ok(served.ranges.length >= 4, 'was not cut');
  assert.equal(got.info.sizeBytes, CONTENT.length);
});

test('gives a range over cut bodies', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const got = await resumableGet(served.storage, 'k', { ...QUICK, offset: 100_000, length: 500_000 });
  assert.ok(got);
  assert.ok((await buffer(got.body)).equals(CONTENT.subarray(100_000, 600_000)));
});

test('never mixes two contents: an object replaced in between is a conflict', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const got = await resumableGet(served.storage, 'k', QUICK);
  assert.ok(got);
  served.etag = '"two"';
  await assert.rejects(buffer(got.body), { name: 'StoreError', failure: 'conflict' });
});

test('gives up after so many attempts without a byte, with the last error', async (t) => {
  const served = await serveCut(t, { perAnswer: 0 });
  const got = await resumableGet(served.storage, 'k', { ...QUICK, maxFruitlessAttempts: 3 });
  assert.ok(got);
  await assert.rejects(buffer(got.body), { name: 'StoreError', failure: 'broken' });
  assert.equal(served.ranges.length, 3);
});

test('answers undefined for an object that is not there', async (t) => {
  const served = await serve(t, (_request, response) => {
    response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
  });
  assert.equal(await resumableGet(served, 'k'), undefined);
});

test('asks for nothing more when its reader goes away or its signal fires', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const left = await resumableGet(served.storage, 'k', QUICK);
  assert.ok(left);
  for await (const _ of left.body) break;
  const stop = new AbortController();
  const stopped = await resumableGet(served.storage, 'k', { ...QUICK, signal: stop.signal });
  assert.ok(stopped);
  const reason = new Error('enough');
  await assert.rejects(async () => {
    for await (const _ of stopped.body) stop.abort(reason);
  }, reason);
  assert.equal(served.ranges.length, 2);
});

/** Serves CONTENT, cutting the connection after some bytes of each answer. */
async function serveCut(t: TestContext, { perAnswer }: { perAnswer: number }) {
  const served = { ranges: [] as (string | undefined)[], etag: '"one"' };
  const storage = await serve(t, (request, response) => {
    const { range } = request.headers;
    served.ranges.push(range);
    const [, from = '0', to = `${CONTENT.length - 1}`] = /bytes=(\d+)-(\d+)/.exec(range ?? '') ?? [];
    const wanted = CONTENT.subarray(Number(from), Number(to) + 1);
    response.writeHead(range === undefined ? 200 : 206, {
      etag: served.etag,
      'content-length': wanted.length,
      ...(range === undefined ? {} : { 'content-range': `bytes ${from}-${to}/${CONTENT.length}` }),
    });
    response.flushHeaders();
    if (wanted.length <= perAnswer) response.end(wanted);
    else response.write(wanted.subarray(0, perAnswer), () => setImmediate(() => response.destroy()));
  });
  return Object.assign(served, { storage });
}

async function serve(t: TestContext, answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const configuration = { destinationPath: 's3://bucket', endpointURL: `http://127.0.0.1:${port}` };
  const secrets = { accessKeyId: 'a', secretAccessKey: 's', region: undefined, sessionToken: undefined };
  const storage = createS3Storage(resolveS3Settings(configuration, secrets, {}, undefined));
  t.after(() => {
    storage.close();
    server.closeAllConnections();
    server.close();
  });
  return storage;
}
