import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FakeStorage } from '../../test/fake-storage.ts';
import { createS3Storage } from '../store/s3.ts';
import { resolveS3Settings } from '../store/s3-settings.ts';
import type { ObjectStorage } from '../store/store.ts';
import { readStretch, type Stretch } from './resumable.ts';

const CONTENT = randomBytes(1_000_000);
const QUICK = { firstWaitMs: 1 };

test('goes on at its offset over cut bodies and takes every byte once', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const { info, bytes } = await read(served.storage, { offset: 0, length: CONTENT.length });
  assert.ok(bytes.equals(CONTENT));
  assert.ok(served.ranges.length >= 4, 'was not cut');
  assert.equal(info?.sizeBytes, CONTENT.length);
});

test('takes a stretch over cut bodies, and what there is of one beyond the end', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const inside = await read(served.storage, { offset: 100_000, length: 500_000 });
  assert.ok(inside.bytes.equals(CONTENT.subarray(100_000, 600_000)));
  const beyond = await read(served.storage, { offset: 900_000, length: 500_000 });
  assert.ok(beyond.bytes.equals(CONTENT.subarray(900_000)));
});

test('never mixes two contents: an object replaced in between is a conflict', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const reading = read(
    served.storage,
    { offset: 0, length: CONTENT.length },
    { opened: () => (served.etag = '"two"') },
  );
  await assert.rejects(reading, { name: 'StoreError', failure: 'conflict' });
});

test('gives up when nothing has come for so long, with the last error', async (t) => {
  const served = await serveCut(t, { perAnswer: 0 });
  const reading = read(served.storage, { offset: 0, length: 10 }, { limitMs: 0 });
  await assert.rejects(reading, { name: 'StoreError', failure: 'broken' });
  assert.equal(served.ranges.length, 1);
});

test('waits for a store that is away from the start', async () => {
  const storage = new FakeStorage();
  storage.plant('k', CONTENT);
  storage.fail('get', 'throttled', 3);
  storage.fail('get', 'broken', 3);
  const { bytes } = await read(storage, { offset: 0, length: CONTENT.length });
  assert.ok(bytes.equals(CONTENT));
});

test('what no waiting can help is thrown at once', async () => {
  const storage = new FakeStorage();
  storage.plant('k', CONTENT);
  storage.fail('get', 'refused');
  await assert.rejects(read(storage, { offset: 0, length: 10 }), { name: 'StoreError', failure: 'refused' });
  assert.equal(storage.requests.length, 1);
});

test('answers undefined for an object that is not there, unless it was there before', async (t) => {
  const gone = await serve(t, (_request, response) => {
    response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
  });
  assert.equal((await read(gone, { offset: 0, length: 10 })).info, undefined);
  const reading = read(gone, { offset: 5, length: 5, etag: 'one' });
  await assert.rejects(reading, { name: 'StoreError', failure: 'absent' });
});

test('asks for nothing more when its signal fires', async (t) => {
  const served = await serveCut(t, { perAnswer: 300_000 });
  const stop = new AbortController();
  const reason = new Error('enough');
  const reading = read(
    served.storage,
    { offset: 0, length: CONTENT.length },
    { signal: stop.signal, opened: () => stop.abort(reason) },
  );
  await assert.rejects(reading, reason);
  assert.equal(served.ranges.length, 1);
});

type Options = { limitMs?: number; signal?: AbortSignal; opened?: () => void };

async function read(storage: ObjectStorage, stretch: Stretch, options: Options = {}) {
  const { opened, signal = AbortSignal.timeout(60_000), ...rest } = options;
  const chunks: Buffer[] = [];
  const reader = { take: (chunk: Buffer) => chunks.push(chunk), ...(opened === undefined ? {} : { opened }) };
  const info = await readStretch(storage, 'k', stretch, reader, { ...QUICK, ...rest, signal });
  return { info, bytes: Buffer.concat(chunks) };
}

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
