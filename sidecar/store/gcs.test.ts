// The port over Google Cloud Storage: the behaviour suite over a double, and what a store or a network may do to it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gcsSettings } from '../../test/gcs/settings.ts';
import { failureOf } from '../../test/servers/answering-s3.ts';
import { failure, type Interference, startGcsDouble } from '../../test/servers/gcs-double.ts';
import { read, testStore } from '../../test/store-suite.ts';
import { createGcsStorage } from './gcs.ts';
import type { GcsSettings } from './gcs-settings.ts';

const KIB_256 = 256 * 1024;

const TRAITS = {
  keysOfThreePages: 41,
  conditionalPut: true,
  listsUploads: false,
  abortsUploads: true,
  dropsCutPuts: true,
  listsNestedFolders: true,
  knowsStrangers: false,
  partsInOrder: true,
};

testStore('gcs (double)', TRAITS, async () => {
  const { double, endpoint, stop } = await startGcsDouble();
  double.pageSize = 20;
  const storage = createGcsStorage(gcsSettings(endpoint));
  const missingBucket = createGcsStorage(gcsSettings(endpoint, { bucket: 'missing' }));
  return {
    storage,
    missingBucket,
    strangers: storage,
    async stop() {
      for (const each of [storage, missingBucket]) each.close();
      await stop();
    },
  };
});

test('makes no object of a body that was damaged on its way', async (t) => {
  const { double, storage } = await start(t);
  double.corrupts = true;
  const error = await failureOf(storage.put('k', { stream: () => Readable.from([Buffer.from('abc')]), sizeBytes: 3 }));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /3 bytes with CRC-32C \S+ were sent, but the store holds .*: it was removed/);
  assert.equal(double.object('bucket', 'k'), undefined);
});

test('leaves the object of another writer alone when its own was damaged', async (t) => {
  const { double, storage } = await start(t);
  double.corrupts = true;
  const objects = double.buckets.get('bucket');
  double.interfere = ({ method }) => {
    const own = objects?.get('k');
    if (method === 'DELETE' && own !== undefined) objects?.set('k', { ...own, generation: '1' });
    return false;
  };
  await failureOf(storage.put('k', { stream: () => Readable.from([Buffer.from('abc')]), sizeBytes: 3 }));
  assert.equal(double.object('bucket', 'k')?.generation, '1');
});

test('reads what is stored or fails: other bytes than the digest of the store says are broken', async (t) => {
  const { double, storage } = await start(t);
  await storage.put('k', Buffer.from('abc'));
  double.interfere = ({ url }, response) => {
    if (url.searchParams.get('alt') !== 'media') return false;
    response.writeHead(200, { 'content-length': 3 }).end('abd');
    return true;
  };
  const got = await storage.get('k');
  assert.ok(got);
  const error = await failureOf(buffer(got.body));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /3 bytes with CRC-32C \S+ came, the store has/);
});

test('calls a body that is cut short, and a connection on which nothing moves, broken', async (t) => {
  for (const end of [(response: ServerResponse) => response.destroy(), () => undefined]) {
    const { double, storage } = await start(t, { silenceTimeoutMs: 150 });
    await storage.put('k', Buffer.alloc(1000));
    double.interfere = ({ url }, response) => {
      if (url.searchParams.get('alt') !== 'media') return false;
      response.writeHead(200, { 'content-length': 1000 });
      response.write(Buffer.alloc(400), () => end(response));
      return true;
    };
    const got = await storage.get('k');
    assert.ok(got);
    assert.equal((await failureOf(buffer(got.body))).failure, 'broken');
  }
});

test('reads the generation that it has looked at, never the bytes of two', async (t) => {
  const { double, storage } = await start(t);
  await storage.put('k', Buffer.from('one'));
  const { etag } = (await storage.head('k')) ?? {};
  const replaceOnce = () => {
    double.interfere = ({ url }) => {
      if (url.searchParams.get('alt') !== 'media') return false;
      double.interfere = () => false;
      const found = double.object('bucket', 'k');
      if (found) double.buckets.get('bucket')?.set('k', { ...found, generation: `${found.generation}1` });
      return false;
    };
  };
  replaceOnce();
  assert.equal((await failureOf(storage.get('k'))).failure, 'broken');
  replaceOnce();
  const seen = (await storage.head('k'))?.etag ?? '';
  assert.notEqual(seen, etag);
  assert.equal((await failureOf(storage.get('k', { etag: seen }))).failure, 'conflict');
});

test('waits as long as a throttling store asks for, repeats, and tells after three attempts', async (t) => {
  const { double, storage } = await start(t);
  let refusals = 1;
  double.interfere = answering(() => refusals-- > 0, 429, 'rateLimitExceeded', { 'retry-after': '1' });
  const began = performance.now();
  await storage.put('k', Buffer.from('x'));
  assert.ok(performance.now() - began >= 990, 'it did not wait');
  refusals = 3;
  double.interfere = answering(() => refusals-- > 0, 503, 'backendError', { 'x-guploader-uploadid': 'R1' });
  const error = await failureOf(storage.head('k'));
  assert.deepEqual([error.failure, error.status, error.requestId], ['throttled', 503, 'R1']);
  assert.equal(refusals, 0);
});

test('of two writers of one name at the same instant exactly one wins', async (t) => {
  const { double, storage } = await start(t);
  const contents = ['one', 'other'].map((text) => Buffer.from(text));
  const outcomes = await Promise.allSettled(contents.map((content) => storage.put('k', content, { onlyIf: 'absent' })));
  const won = outcomes.findIndex(({ status }) => status === 'fulfilled');
  const lost = outcomes[1 - won];
  assert.ok(lost?.status === 'rejected' && lost.reason.failure === 'conflict');
  assert.deepEqual(double.object('bucket', 'k')?.bytes, contents[won]);
});

test('repeats a put of a stream from its beginning after a server error', async (t) => {
  const { double, storage } = await start(t);
  let refusals = 1;
  double.interfere = answering(() => refusals-- > 0, 500, 'backendError');
  let opened = 0;
  const stream = () => {
    opened += 1;
    return Readable.from([Buffer.alloc(5_000, opened)]);
  };
  const info = await storage.put('k', { stream, sizeBytes: 5_000 });
  assert.equal(opened, 2);
  assert.equal(info.sentOnce, false);
  assert.deepEqual(double.object('bucket', 'k')?.bytes, Buffer.alloc(5_000, 2));
});

test('tells whom, what and which object a refusal is about, as the store says it', async (t) => {
  const { double, storage } = await start(t);
  const said =
    'sa@p.iam.gserviceaccount.com does not have storage.objects.create access to the Google Cloud Storage object.';
  double.interfere = answering(() => true, 403, 'forbidden', {}, said);
  const error = await failureOf(storage.put('p/k', Buffer.from('x')));
  assert.equal(error.failure, 'refused');
  assert.match(
    error.message,
    /^gcs objects\.insert bucket\/p\/k: .*sa@p\S+ does not have storage\.objects\.create.*HTTP 403/,
  );
  assert.match(error.message, /Storage Object User/);
});

test('sends tags as metadata, the KMS key, and a type, with puts and with sessions', async (t) => {
  const kmsKeyName = 'projects/p/locations/l/keyRings/r/cryptoKeys/k';
  const { double, storage } = await start(t, { kmsKeyName });
  const attributes = { metadata: { digest: 'd' }, tags: { team: 'a b', digest: 'of a tag' } };
  await storage.put('put', Buffer.from('x'), attributes);
  const upload = await storage.createMultipart('session', attributes);
  await upload.part(1, Buffer.from('x'));
  await upload.complete();
  for (const key of ['put', 'session']) {
    assert.deepEqual(double.object('bucket', key)?.metadata, { team: 'a b', digest: 'd' });
    assert.equal(double.object('bucket', key)?.kmsKeyName, kmsKeyName);
  }
});

test('goes on with what the session has when the store keeps less than it was sent', async (t) => {
  const { double, storage } = await start(t);
  double.keptBytes = KIB_256;
  const bytes = randomBytes(7 * KIB_256 + 77);
  const upload = await storage.createMultipart('k');
  await upload.part(1, bytes.subarray(0, 5 * KIB_256 + 10));
  const ranges = double.requests.flatMap(({ headers }) => headers['content-range'] ?? []);
  const begins = [0, 1, 2, 3, 4].map((chunk) => `bytes ${chunk * KIB_256}-${5 * KIB_256 - 1}/*`);
  assert.deepEqual(ranges, begins);
  await upload.part(2, bytes.subarray(5 * KIB_256 + 10));
  assert.equal((await upload.complete()).sizeBytes, bytes.length);
  assert.ok((await read(storage, 'k')).bytes.equals(bytes));
});

test('asks a session what it has after a failure, and sends the rest', async (t) => {
  const { double, storage } = await start(t);
  const bytes = randomBytes(4 * KIB_256);
  const upload = await storage.createMultipart('k');
  await upload.part(1, bytes.subarray(0, 2 * KIB_256));
  double.interfere = onceCut(({ headers }) => /^bytes \d/.test(headers['content-range'] ?? ''));
  await upload.part(2, bytes.subarray(2 * KIB_256));
  assert.match(double.requests.at(-2)?.headers['content-range'] ?? '', /^bytes \*\/\*$/);
  await upload.complete();
  assert.ok((await read(storage, 'k')).bytes.equals(bytes));
});

test('believes a completion whose answer was lost when the session says that it is done', async (t) => {
  const { double, storage } = await start(t);
  const bytes = randomBytes(KIB_256 + 5);
  const upload = await storage.createMultipart('k');
  await upload.part(1, bytes);
  const [session] = double.sessions.values();
  double.interfere = ({ headers }, response) => {
    if (!/\/\d+$/.test(headers['content-range'] ?? '') || session === undefined) return false;
    double.interfere = () => false;
    const object = { bytes, generation: '7', timeCreated: new Date().toISOString(), metadata: {} };
    double.buckets.get('bucket')?.set('k', object);
    session.done = object;
    response.destroy();
    return true;
  };
  assert.equal((await upload.complete()).etag, '7');
});

test('an upload whose session is gone, or lost what it had confirmed, must begin anew', async (t) => {
  for (const spoil of ['forget', 'lose'] as const) {
    const { double, storage } = await start(t);
    const upload = await storage.createMultipart('k');
    await upload.part(1, randomBytes(2 * KIB_256));
    const [[id, session] = []] = double.sessions;
    if (spoil === 'forget') double.sessions.delete(id ?? '');
    else if (session) session.bytes = Buffer.alloc(0);
    const error = await failureOf(upload.part(2, randomBytes(2 * KIB_256)));
    assert.match(error.message, spoil === 'forget' ? /must begin anew/ : /Gap/);
    assert.equal(double.object('bucket', 'k'), undefined);
  }
});

test('holds the last bytes back, so that the end is told with them, whatever the size of the parts', async (t) => {
  const { double, storage } = await start(t);
  for (const sizes of [[KIB_256], [2 * KIB_256, KIB_256], [KIB_256 + 1, KIB_256 - 1], [5, 0], [0]]) {
    const bytes = sizes.map((size) => randomBytes(size));
    const upload = await storage.createMultipart('k');
    for (const [index, part] of bytes.entries()) await upload.part(index + 1, part);
    const { sizeBytes } = await upload.complete();
    const last = double.requests.at(-1)?.headers['content-range'] ?? '';
    assert.match(last, sizeBytes === 0 ? /^bytes \*\/0$/ : new RegExp(`^bytes \\d+-${sizeBytes - 1}/${sizeBytes}$`));
    assert.ok((await read(storage, 'k')).bytes.equals(Buffer.concat(bytes)));
  }
});

test('never shows the address of a session', async (t) => {
  const { double, storage } = await start(t);
  const upload = await storage.createMultipart('k');
  const [id = ''] = double.sessions.keys();
  double.interfere = answering(() => true, 400, 'badRequest', {}, `https://x/?upload_id=${id}&a=b`);
  const error = await failureOf(upload.part(1, randomBytes(2 * KIB_256)));
  assert.match(error.message, /upload_id=\*\*\*/);
  assert.doesNotMatch(JSON.stringify(error) + error.stack, new RegExp(id));
});

test('cancels the session of an upload that is aborted, and parts that wait for their turn', async (t) => {
  const { double, storage } = await start(t);
  const upload = await storage.createMultipart('k');
  const waiting = failureOf(upload.part(2, Buffer.from('x')));
  await upload.abort();
  assert.match((await waiting).message, /aborted/);
  assert.equal(double.sessions.size, 0);
});

test('names what could not be deleted, and goes on', async (t) => {
  const { double, storage } = await start(t);
  for (const key of ['a', 'held', 'z']) await storage.put(key, Buffer.from('.'));
  const locked = ({ method, url }: { method: string; url: URL }) =>
    method === 'DELETE' && url.pathname.endsWith('held');
  double.interfere = answering(
    locked,
    403,
    'retentionPolicyNotMet',
    {},
    "Object 'bucket/held' is subject to retention.",
  );
  const failed = await storage.delete(['a', 'held', 'z', 'absent']);
  assert.deepEqual(
    failed.map(({ key }) => key),
    ['held'],
  );
  assert.match(failed[0]?.reason ?? '', /retention/);
  assert.deepEqual([...(double.buckets.get('bucket')?.keys() ?? [])], ['held']);
});

test('reports a listing that turns in a circle', async (t) => {
  const { double, storage } = await start(t);
  double.interfere = (_request, response) => {
    response.end(JSON.stringify({ nextPageToken: 'same', items: [{ name: 'a' }] }));
    return true;
  };
  const error = await failureOf(
    (async () => {
      for await (const _ of storage.list('')) void _;
    })(),
  );
  assert.match(error.message, /same page again/);
});

test('calls an endpoint that nobody serves broken, and answers that are not JSON too', async (t) => {
  const { double, storage, stop } = await start(t);
  await storage.put('k', Buffer.from('x'));
  double.interfere = (_request, response) => {
    response.end('<html>welcome to the hotel</html>');
    return true;
  };
  assert.equal((await failureOf(storage.head('k'))).failure, 'broken');
  await stop();
  const error = await failureOf(storage.head('k'));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /ECONNREFUSED.*network policies/);
});

async function start(t: TestContext, settings: Partial<GcsSettings> = {}) {
  const { double, endpoint, stop } = await startGcsDouble();
  const storage = createGcsStorage(gcsSettings(endpoint, settings));
  t.after(async () => {
    storage.close();
    await stop();
  });
  return { double, storage, stop };
}

function answering(
  when: (request: Parameters<Interference>[0]) => boolean,
  status: number,
  reason: string,
  headers: Record<string, string> = {},
  message = reason,
): Interference {
  return (request, response) => {
    if (!when(request)) return false;
    response.writeHead(status, headers).end(JSON.stringify(failure(status, reason, message).body));
    return true;
  };
}

/** Cuts the connection of the first request that fits. */
function onceCut(fits: (request: Parameters<Interference>[0]) => boolean): Interference {
  let done = false;
  return (request, response) => {
    if (done || !fits(request)) return false;
    done = true;
    response.destroy();
    return true;
  };
}
