// Stores that speak S3 in their own way: what they cannot do is found out by their answers, worked around, and told once;
// what cannot be worked around ends in an error that names its cause.
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { failureOf, md5Of, settingsFor, startAnswering } from '../../test/servers/answering-s3.ts';
import { createS3Storage } from './s3.ts';
import type { S3Settings } from './s3-settings.ts';

const PART = Buffer.from('abc');

test('a completion that is answered 500 is done when our own object is there, and else the 500 is told', async (t) => {
  const digest = Buffer.from(md5Of(PART).slice(1, -1), 'hex');
  let etag: string | undefined = md5Of(digest).replace(/"$/, '-1"');
  const { storage } = await startAnswering(t, (request, response) => {
    const url = request.url ?? '';
    if (request.method === 'HEAD' && etag === undefined) response.writeHead(503).end();
    else if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '3', etag }).end();
    else if (request.method === 'PUT') response.writeHead(200, { etag: md5Of(PART) }).end();
    else if (url.includes('uploads')) response.end('<R><UploadId>u</UploadId></R>');
    else response.writeHead(500).end('<Error><Code>InternalError</Code></Error>');
  });
  const upload = await storage.createMultipart('k');
  await upload.part(1, PART);
  assert.equal((await upload.complete()).sizeBytes, 3);
  for (const other of ['"another"', undefined]) {
    etag = other;
    assert.equal((await failureOf(upload.complete())).status, 500);
  }
});

test('an answer to a range that has the whole is a matter of settings', async (t) => {
  const { storage } = await startAnswering(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '5', etag: '"1"' }).end('whole');
  });
  const error = await failureOf(storage.get('k', { offset: 2 }));
  assert.equal(error.failure, 'misconfigured');
  assert.match(error.message, /ignored the range.*check endpointURL and proxies/);
});

test('a store without conditions, batches, tokens and checksums is used without them, and each is told once', async (t) => {
  const { storage, notes } = await startNoted(t, async (request, response) => {
    const body = await text(request);
    const { searchParams: query } = new URL(request.url ?? '', 'http://x');
    const isFirstPage = query.get('start-after') === null;
    if (request.method === 'POST' && query.has('delete')) response.writeHead(501).end();
    else if (request.method === 'POST' && query.has('uploads')) response.end('<R><UploadId>u</UploadId></R>');
    else if (request.method === 'GET' && isFirstPage) response.end(listed('a', true));
    else if (request.method === 'GET') response.end(listed('b', false));
    else if (request.method === 'PUT') response.writeHead(200, { etag: md5Of(Buffer.from(body)) }).end();
    else response.writeHead(204).end();
  });
  for (const key of ['a', 'b']) await storage.put(key, PART, { onlyIf: 'absent' });
  for (const _ of [1, 2]) {
    const keys: string[] = [];
    for await (const { key } of storage.list('')) keys.push(key);
    assert.deepEqual(keys, ['a', 'b']);
    assert.deepEqual(await storage.delete(keys), []);
    await (await storage.createMultipart('m')).part(1, PART);
  }
  assert.equal(storage.capabilities.conditionalPut, false);
  const expected = [/no conditional puts/, /no token/, /no batches/, /no checksums/];
  assert.equal(notes.length, expected.length, notes.join('\n'));
  for (const [index, pattern] of expected.entries()) assert.match(notes[index] ?? '', pattern);
});

test('a token that ends in the middle of an upload is told by name, and the upload can still be thrown away', async (t) => {
  const { storage, requests } = await startAnswering(t, (request, response) => {
    const { searchParams: query } = new URL(request.url ?? '', 'http://x');
    if (query.has('uploads')) response.end('<R><UploadId>u</UploadId></R>');
    else if (request.method === 'DELETE') response.writeHead(204).end();
    else if (query.get('partNumber') === '1') response.writeHead(200, { etag: md5Of(PART) }).end();
    else response.writeHead(400).end('<Error><Code>ExpiredToken</Code><Message>over</Message></Error>');
  });
  const upload = await storage.createMultipart('k');
  await upload.part(1, PART);
  const error = await failureOf(upload.part(2, PART));
  assert.equal(error.failure, 'refused');
  assert.match(error.message, /UploadPart bucket\/k: ExpiredToken.*the session token has expired/);
  await upload.abort();
  assert.equal(requests.at(-1)?.method, 'DELETE');
});

test('a bucket of another region is told with its region, and a clock that is wrong as that', async (t) => {
  const elsewhere = await startAnswering(t, (_request, response) => {
    response.writeHead(301, { 'x-amz-bucket-region': 'eu-west-3' });
    response.end('<Error><Code>PermanentRedirect</Code></Error>');
  });
  const moved = await failureOf(elsewhere.storage.get('k'));
  assert.equal(moved.failure, 'misconfigured');
  assert.match(moved.message, /the bucket is in region eu-west-3/);
  const late = await startAnswering(t, (_request, response) => {
    response.writeHead(403).end('<Error><Code>RequestTimeTooSkewed</Code></Error>');
  });
  const skewed = await failureOf(late.storage.get('k'));
  assert.equal(skewed.failure, 'misconfigured');
  assert.match(skewed.message, /clocks of this node and of the store differ/);
});

test('keys that a store does not know are that, also where it answers 404 as if the bucket were missing', async (t) => {
  let isBucketSeen = false;
  const { storage } = await startAnswering(t, (request, response) => {
    if (isBucketSeen && request.method === 'HEAD') return response.end();
    response.writeHead(404);
    return response.end(request.method === 'HEAD' ? '' : '<Error><Code>XAdminUserNotFound</Code></Error>');
  });
  const attempts = [() => storage.head('k'), () => storage.put('k', PART), () => storage.get('k')];
  for (const attempt of attempts) {
    const error = await failureOf(attempt());
    assert.equal(error.failure, 'refused', error.message);
    assert.match(error.message, /XAdminUserNotFound.*does not know the access key id/);
  }
  isBucketSeen = true;
  assert.equal((await failureOf(storage.get('k'))).failure, 'refused');
});

test('a proxy is used, but not for what NO_PROXY names', async (t) => {
  const { storage, requests, endpoint } = await startNoted(t, (_request, response) => response.writeHead(404).end());
  const proxies = { HTTP_PROXY: endpoint };
  const through = createS3Storage(settingsFor('http://store.invalid', { proxies }));
  t.after(() => through.close());
  await failureOf(through.head('k'));
  assert.equal(requests[0], 'http://store.invalid/bucket/k');
  const around = createS3Storage(
    settingsFor('http://store.invalid', { proxies: { ...proxies, NO_PROXY: 'store.invalid' } }),
  );
  t.after(() => around.close());
  assert.match((await failureOf(around.head('k'))).message, /did not resolve/);
  await failureOf(storage.head('k'));
});

function listed(key: string, isTruncated: boolean): string {
  return `<R><IsTruncated>${isTruncated}</IsTruncated><Contents><Key>${key}</Key><Size>3</Size></Contents></R>`;
}

/** Like startAnswering, with what is noted, and each request by method and address as it was asked for. */
async function startNoted(t: TestContext, answer: RequestListener, overrides: Partial<S3Settings> = {}) {
  const [requests, notes]: [string[], string[]] = [[], []];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const storage = createS3Storage(settingsFor(endpoint, overrides), (note) => notes.push(note));
  t.after(() => {
    storage.close();
    server.closeAllConnections();
    server.close();
  });
  return { storage, requests, notes, endpoint };
}
