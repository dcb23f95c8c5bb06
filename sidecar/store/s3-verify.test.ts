// What makes a put count: each row of the table in s3-verify.ts, against a server that answers as told.
import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { failureOf, md5Of, startAnswering } from '../../test/servers/answering-s3.ts';
import type { PutBody, PutOptions } from './store.ts';

const content = Buffer.alloc(1_500_000, 'content of a segment;');
const other = Buffer.alloc(content.length, 'something else;');
const alike = md5Of(Buffer.from('not of the content'));
const KMS = { 'x-amz-server-side-encryption': 'aws:kms' };
const kms: PutOptions = { encryption: { algorithm: 'aws:kms' } };
const BODIES: [kind: string, body: PutBody][] = [
  ['bytes', content],
  [
    'a stream',
    { stream: () => Readable.from([content.subarray(0, 9), content.subarray(9)]), sizeBytes: content.length },
  ],
];

for (const [kind, body] of BODIES) {
  test(`${kind}: an ETag that is the MD5 of what was sent confirms a put without another request`, async (t) => {
    const { storage, asked } = await startStore(t, { etag: (sent) => md5Of(sent) });
    assert.equal((await storage.put('k', body)).sizeBytes, content.length);
    assert.equal((await storage.put('k', body)).sizeBytes, content.length);
    assert.deepEqual(asked, ['PUT', 'PUT']);
  });

  test(`${kind}: a store with ETags of its own is read back once, and asked for the size from then on`, async (t) => {
    const { storage, asked } = await startStore(t, { etag: () => alike });
    for (const _ of [1, 2, 3]) assert.equal((await storage.put('k', body)).sizeBytes, content.length);
    assert.deepEqual(asked, ['PUT', 'GET', 'PUT', 'HEAD', 'PUT', 'HEAD']);
  });

  test(`${kind}: what the store holds in place of it is broken, named with both digests, and removed`, async (t) => {
    const { storage, asked, stored } = await startStore(t, { etag: md5Of, keeps: () => other });
    const error = await failureOf(storage.put('k', body));
    assert.deepEqual([error.failure, error.retriable], ['broken', true]);
    for (const bytes of [content, other]) assert.ok(error.message.includes(md5Of(bytes).slice(1, -1)), error.message);
    assert.match(error.message, /bucket\/k: .*it was removed/);
    assert.deepEqual(asked, ['PUT', 'GET', 'POST']);
    assert.equal(stored.has('/bucket/k'), false);
  });
}

test('a store that was known for its MD5s and changes its ways is believed for the bytes it holds', async (t) => {
  let etag = md5Of;
  const { storage, asked } = await startStore(t, { etag: (sent) => etag(sent) });
  await storage.put('k', content);
  etag = () => alike;
  await storage.put('k', content);
  await storage.put('k', content);
  assert.deepEqual(asked, ['PUT', 'PUT', 'GET', 'PUT', 'HEAD']);
});

test('a put that was confirmed but of which nothing is stored is broken', async (t) => {
  const { storage } = await startStore(t, { etag: () => alike, keeps: () => undefined });
  assert.match((await failureOf(storage.put('k', content))).message, /confirmed.*but nothing is stored/);
});

test('an object that somebody else stored meanwhile is not removed', async (t) => {
  const { storage, stored } = await startStore(t, { etag: () => alike, keeps: () => other, shows: () => '"theirs"' });
  assert.match((await failureOf(storage.put('k', content))).message, /it was left there/);
  assert.ok(stored.has('/bucket/k'));
});

test('a put that is given up while it is found to be wrong still leaves nothing wrong behind', async (t) => {
  const stop = new AbortController();
  const shows = () => {
    stop.abort(new Error('enough'));
    return md5Of(other);
  };
  const { storage, stored } = await startStore(t, { etag: md5Of, keeps: () => other, shows });
  await assert.rejects(storage.put('k', content, { signal: stop.signal }), /enough/);
  assert.equal(stored.has('/bucket/k'), false);
});

test('what cannot be removed is said so', async (t) => {
  const { storage } = await startStore(t, { etag: md5Of, keeps: () => other, removes: false });
  assert.match((await failureOf(storage.put('k', content))).message, /could not be removed: .*AccessDenied/);
});

for (const [title, etag, headers] of [
  ['an ETag that is no MD5', () => '"opaque"', {}],
  ['no ETag', () => undefined, {}],
  ['an MD5 of what KMS made of it', () => alike, KMS],
] as const) {
  test(`${title}: the size counts, asked for with a HEAD`, async (t) => {
    const { storage, asked } = await startStore(t, { etag, headers });
    assert.equal((await storage.put('k', content)).sizeBytes, content.length);
    assert.deepEqual(asked, ['PUT', 'HEAD']);
    const short = await startStore(t, { etag, headers, keeps: (sent) => sent.subarray(1) });
    const error = await failureOf(short.storage.put('k', content));
    assert.equal(error.failure, 'broken');
    assert.match(error.message, /1500000 bytes were sent and confirmed, but the store holds 1499999/);
    const empty = await startStore(t, { etag, headers, keeps: () => undefined });
    assert.match((await failureOf(empty.storage.put('k', content))).message, /the store holds nothing/);
  });
}

for (const [kind, body] of BODIES) {
  test(`${kind}: with KMS the checksum that a store returns counts, without another request`, async (t) => {
    const headers = { ...KMS, 'x-amz-checksum-crc32': crcOf(content) };
    const settings = { requestChecksums: 'WHEN_SUPPORTED' as const };
    const { storage, asked } = await startStore(t, { etag: () => alike, headers }, settings);
    assert.equal((await storage.put('k', body, kms)).sizeBytes, content.length);
    assert.deepEqual(asked, ['PUT']);
    const wrong = { ...KMS, 'x-amz-checksum-crc32': crcOf(other) };
    const broken = await startStore(t, { etag: () => alike, headers: wrong, keeps: () => other }, settings);
    const error = await failureOf(broken.storage.put('k', body, kms));
    for (const bytes of [content, other]) assert.ok(error.message.includes(crcOf(bytes)), error.message);
  });
}

test('the second put that finds out about conditions is verified too', async (t) => {
  const { storage, asked } = await startStore(t, { etag: md5Of, keeps: (sent) => (asked.length > 1 ? other : sent) });
  const error = await failureOf(storage.put('k', content, { onlyIf: 'absent' }));
  assert.match(error.message, /it was removed/);
  assert.deepEqual(asked, ['PUT', 'PUT', 'GET', 'POST']);
});

test('a stream that a store confirms before it has all of it is broken', async (t) => {
  const { storage } = await startAnswering(t, (request, response) => {
    request.once('data', () => response.writeHead(200, { etag: alike, connection: 'close' }).end());
  });
  const endless = () => Readable.from(slowly());
  const error = await failureOf(storage.put('k', { stream: endless, sizeBytes: content.length }));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /confirmed after \d+ of 1500000 bytes/);
});

test('a part that arrived otherwise is sent again, and given up after three times', async (t) => {
  let wrong = 1;
  const { storage, asked } = await startStore(t, {
    etag: md5Of,
    keeps: (sent) => (sent.length > 100 && wrong-- > 0 ? other : sent),
  });
  await storage.put('small', Buffer.from('an MD5'));
  const upload = await storage.createMultipart('k');
  await upload.part(1, content);
  assert.equal((await upload.complete()).sizeBytes, content.length);
  assert.deepEqual(asked, ['PUT', 'POST', 'PUT', 'PUT', 'POST', 'HEAD']);
  wrong = 3;
  const error = await failureOf(upload.part(2, content));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /UploadPart bucket\/k: the store holds other bytes of part 2/);
});

test('parts of a store with ETags of its own stand, and the size of the whole is compared', async (t) => {
  const { storage } = await startStore(t, { etag: () => alike });
  const upload = await storage.createMultipart('k');
  await upload.part(1, content);
  assert.equal((await upload.complete()).sizeBytes, content.length);
  const short = await startStore(t, { etag: () => alike, keeps: (sent) => sent.subarray(1) });
  const cut = await short.storage.createMultipart('k');
  await cut.part(1, content);
  assert.match((await failureOf(cut.complete())).message, /CompleteMultipartUpload bucket\/k: .*holds 1499999 bytes/);
});

type Ways = {
  /** ETag of the answer to a put. */
  etag: (kept: Buffer) => string | undefined;
  /** What is stored of what was sent. */
  keeps?: (sent: Buffer) => Buffer | undefined;
  /** ETag of the answer to a read, if another. */
  shows?: () => string;
  /** More headers of the answer to a put. */
  headers?: Record<string, string>;
  removes?: boolean;
};

/** A store with ways of its own: puts, reads, one-part uploads, batch deletes. `asked` are the methods, in order. */
async function startStore(
  t: Parameters<typeof startAnswering>[0],
  ways: Ways,
  settings: Parameters<typeof startAnswering>[2] = {},
) {
  const stored = new Map<string, Buffer>([['/bucket/', Buffer.alloc(0)]]);
  const asked: string[] = [];
  const { keeps = (sent: Buffer) => sent, headers = {}, removes = true } = ways;
  const answer: RequestListener = async (request, response) => {
    asked.push(request.method ?? '');
    const sent = contentOf(request, await buffer(request));
    const path = new URL(request.url ?? '', 'http://store').pathname;
    if (request.method === 'POST') return post(request, response);
    if (request.method === 'PUT') {
      const kept = keeps(sent);
      if (kept !== undefined) stored.set(path, kept);
      const etag = ways.etag(kept ?? sent);
      response.writeHead(200, { ...headers, ...(etag === undefined ? {} : { etag }) }).end();
      return;
    }
    const found = stored.get(path);
    if (found === undefined) return void response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
    const etag = ways.shows?.() ?? ways.etag(found) ?? '';
    response.writeHead(200, { etag, 'content-length': String(found.length) });
    response.end(request.method === 'HEAD' ? undefined : found);
  };
  const post = (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.includes('uploads')) return response.end('<R><UploadId>u</UploadId></R>');
    if (request.url?.includes('uploadId')) return response.end('<R><ETag>"whole-1"</ETag></R>');
    if (!removes) return response.end('<R><Error><Key>k</Key><Code>AccessDenied</Code></Error></R>');
    stored.delete('/bucket/k');
    return response.end('<DeleteResult></DeleteResult>');
  };
  return { ...(await startAnswering(t, answer, settings)), asked, stored };
}

/** A body with a checksum after it comes in chunks, each under its size in hex. */
function contentOf({ headers }: IncomingMessage, received: Buffer): Buffer {
  if (headers['x-amz-trailer'] === undefined) return received;
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = received.indexOf('\r\n', at);
    const size = Number.parseInt(received.toString('latin1', at, end), 16);
    if (!(size > 0)) return Buffer.concat(chunks);
    chunks.push(received.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

function crcOf(bytes: Uint8Array): string {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(bytes));
  return value.toString('base64');
}

async function* slowly() {
  for (let start = 0; start < content.length; start += 1_000) {
    yield content.subarray(start, start + 1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
