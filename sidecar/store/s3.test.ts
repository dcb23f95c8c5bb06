import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { failureOf, MARKER, md5Of, settingsFor, startAnswering } from '../../test/servers/answering-s3.ts';
import { startS3 } from '../../test/servers/s3rver.ts';
import { testStore } from '../../test/store-suite.ts';
import { createS3Storage } from './s3.ts';

// s3rver ignores conditions of puts, neither lists nor aborts uploads, keeps what came of a put that was cut off, and takes
// any secret for a key that it knows.
const S3RVER_TRAITS = {
  keysOfThreePages: 50,
  conditionalPut: false,
  listsUploads: false,
  abortsUploads: false,
  dropsCutPuts: false,
  listsNestedFolders: false,
};

testStore('s3 (s3rver)', S3RVER_TRAITS, async () => {
  const server = await startS3({ pageSize: 20 });
  await server.createBucket('bucket');
  const keys = { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey };
  const storages = {
    storage: createS3Storage(settingsFor(server.endpoint, { credentials: keys })),
    missingBucket: createS3Storage(settingsFor(server.endpoint, { credentials: keys, bucket: 'missing' })),
    strangers: createS3Storage(settingsFor(server.endpoint, {})),
  };
  const stop = async () => {
    for (const storage of Object.values(storages)) storage.close();
    await server.stop();
  };
  return { ...storages, stop };
});

test('says why a HEAD was refused, and never tells a secret', async (t) => {
  const { storage } = await startAnswering(t, (_request, response) => {
    response.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code><Message>mismatch</Message></Error>');
  });
  const error = await failureOf(storage.head('k'));
  assert.match(error.message, /HeadObject bucket\/k: SignatureDoesNotMatch.*HTTP 403.*secret access key is wrong/);
  assert.doesNotMatch(everythingOf(error), new RegExp(MARKER));
});

test('keeps secrets out of errors even when the store echoes them', async (t) => {
  const body = `<Error><Code>SignatureDoesNotMatch</Code><Message>got ${MARKER}</Message><CanonicalRequest>${MARKER}</CanonicalRequest></Error>`;
  const { storage } = await startAnswering(t, (_request, response) => response.writeHead(403).end(body));
  const error = await failureOf(storage.get('k'));
  assert.equal(error.failure, 'refused');
  assert.doesNotMatch(everythingOf(error), new RegExp(MARKER));
});

test('calls a body that is cut short broken', async (t) => {
  const { storage } = await startAnswering(t, (_request, response) => {
    response.writeHead(200, { 'content-length': '1000', etag: '"e"' });
    response.write(Buffer.alloc(400), () => response.destroy());
  });
  const got = await storage.get('k');
  assert.ok(got);
  const error = await failureOf(buffer(got.body));
  assert.equal(error.failure, 'broken');
});

test('calls a connection on which nothing moves broken', async (t) => {
  const settings = { silenceTimeoutMs: 150 };
  const { storage } = await startAnswering(
    t,
    (_request, response) => {
      response.writeHead(200, { 'content-length': '1000', etag: '"e"' });
      response.write(Buffer.alloc(400));
    },
    settings,
  );
  const got = await storage.get('k');
  assert.ok(got);
  assert.equal((await failureOf(buffer(got.body))).failure, 'broken');
});

test('repeats a put of a stream with a new stream after a server error', async (t) => {
  const { storage, requests } = await startAnswering(t, async (request, response) => {
    const received = await buffer(request);
    if (requests.length < 2) response.writeHead(500).end();
    else response.writeHead(200, { etag: md5Of(received) }).end();
  });
  const info = await storage.put('k', { stream: () => Readable.from([Buffer.alloc(5_000)]), sizeBytes: 5_000 });
  assert.equal(`"${info.etag}"`, md5Of(Buffer.alloc(5_000)));
  assert.equal(requests.length, 2);
});

test('gives up after three attempts with throttled and the request id', async (t) => {
  const { storage, requests } = await startAnswering(t, (_request, response) => {
    response.writeHead(503, { 'x-amz-request-id': 'R1' });
    response.end('<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>');
  });
  const error = await failureOf(storage.get('k'));
  assert.equal(error.failure, 'throttled');
  assert.equal(error.requestId, 'R1');
  assert.equal(error.status, 503);
  assert.equal(requests.length, 3);
});

test('sends encryption, tags and metadata, path style, and no hash of the body', async (t) => {
  const { storage, requests } = await startAnswering(t, (request, response) =>
    response.writeHead(200, request.method === 'HEAD' ? { 'content-length': '1' } : { etag: '"e"' }).end(),
  );
  await storage.put('p/k', Buffer.from('x'), {
    metadata: { digest: 'd' },
    tags: { team: 'a b', 'k/1': '2' },
    encryption: { algorithm: 'aws:kms', kmsKeyId: 'key-1' },
  });
  const [request] = requests;
  assert.equal(request?.url, '/bucket/p/k?x-id=PutObject');
  assert.equal(request.headers['x-amz-server-side-encryption'], 'aws:kms');
  assert.equal(request.headers['x-amz-server-side-encryption-aws-kms-key-id'], 'key-1');
  assert.equal(request.headers['x-amz-tagging'], 'team=a+b&k%2F1=2');
  assert.equal(request.headers['x-amz-meta-digest'], 'd');
  assert.equal(request.headers['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD');
  const checksums = Object.keys(request.headers).filter((name) => /checksum|trailer|content-encoding/.test(name));
  assert.deepEqual(checksums, []);
});

test('finds out that a store honours conditional puts, and then trusts it', async (t) => {
  const stored = new Set<string>();
  const { storage, requests } = await startAnswering(t, async (request, response) => {
    const etag = md5Of(await buffer(request));
    const url = request.url ?? '';
    if (request.headers['if-none-match'] === '*' && stored.has(url)) response.writeHead(412).end();
    else response.writeHead(200, { etag }).end();
    stored.add(url);
  });
  assert.equal(storage.capabilities.conditionalPut, false);
  await storage.put('one', Buffer.from('x'), { onlyIf: 'absent' });
  assert.equal(storage.capabilities.conditionalPut, true);
  await storage.put('two', Buffer.from('x'), { onlyIf: 'absent' });
  assert.equal(requests.length, 3);
  assert.equal((await failureOf(storage.put('two', Buffer.from('y'), { onlyIf: 'absent' }))).failure, 'conflict');
});

test('puts without a condition where the store says that it has none', async (t) => {
  const { storage, requests } = await startAnswering(t, async (request, response) => {
    const etag = md5Of(await buffer(request));
    response.writeHead(request.headers['if-none-match'] === undefined ? 200 : 501, { etag }).end();
  });
  await storage.put('one', Buffer.from('x'), { onlyIf: 'absent' });
  assert.equal(storage.capabilities.conditionalPut, false);
  assert.equal(requests.at(-1)?.headers['if-none-match'], undefined);
});

test('a 501 that is about something else says nothing about conditions', async (t) => {
  const { storage, requests } = await startAnswering(t, async (request, response) => {
    const etag = md5Of(await buffer(request));
    response.writeHead(request.headers['x-amz-server-side-encryption'] === undefined ? 200 : 501, { etag }).end();
  });
  const encryption = { algorithm: 'AES256' } as const;
  await failureOf(storage.put('one', Buffer.from('x'), { onlyIf: 'absent', encryption }));
  await storage.put('two', Buffer.from('x'), { onlyIf: 'absent' });
  assert.equal(requests.at(-1)?.headers['if-none-match'], '*');
});

test('deletes one by one where the store has no batch delete, and lists what it refuses', async (t) => {
  const { storage, requests } = await startAnswering(t, (request, response) => {
    if (request.method === 'POST') response.writeHead(501).end('<Error><Code>NotImplemented</Code></Error>');
    else if (request.url?.includes('locked')) response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>');
    else response.writeHead(204).end();
  });
  const failures = await storage.delete(['a', 'locked', 'b']);
  assert.deepEqual(
    failures.map(({ key }) => key),
    ['locked'],
  );
  assert.match(failures[0]?.reason ?? '', /AccessDenied/);
  await storage.delete(['c']);
  assert.equal(requests.filter((request) => request.method === 'POST').length, 1);
});

test('goes on listing where a store forgets its token, and reports one that repeats itself', async (t) => {
  const page = (key: string, truncated: boolean) =>
    `<ListBucketResult><IsTruncated>${truncated}</IsTruncated><Contents><Key>${key}</Key><Size>1</Size></Contents></ListBucketResult>`;
  const forgetful = await startAnswering(t, (request, response) => {
    const after = new URL(request.url ?? '', 'http://x').searchParams.get('start-after');
    response.end(after === null ? page('a', true) : page('b', false));
  });
  const keys: string[] = [];
  for await (const { key } of forgetful.storage.list('')) keys.push(key);
  assert.deepEqual(keys, ['a', 'b']);
  const stuck = await startAnswering(t, (_request, response) => response.end(page('a', true)));
  const error = await failureOf(
    (async () => {
      for await (const _ of stuck.storage.list('')) void _;
    })(),
  );
  assert.match(error.message, /nothing new/);
});

test('takes a completion whose answer was lost as done only when our own object is there', async (t) => {
  const partEtag = md5Of(Buffer.from('abc'));
  let etag = md5Of(Buffer.from(partEtag.slice(1, -1), 'hex')).replace(/"$/, '-1"');
  const { storage } = await startAnswering(t, (request, response) => {
    const url = request.url ?? '';
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '3', etag }).end();
    else if (request.method === 'PUT') response.writeHead(200, { etag: partEtag }).end();
    else if (url.includes('uploads')) response.end('<R><UploadId>u</UploadId></R>');
    else response.writeHead(404).end('<Error><Code>NoSuchUpload</Code></Error>');
  });
  const upload = await storage.createMultipart('k');
  await upload.part(1, Buffer.from('abc'));
  assert.equal((await upload.complete()).sizeBytes, 3);
  etag = '"another"';
  assert.equal((await failureOf(upload.complete())).failure, 'absent');
});

test('aborts an upload that was made while its caller went away', async (t) => {
  const stop = new AbortController();
  const { storage, requests } = await startAnswering(t, (request, response) => {
    if (request.method === 'DELETE') response.writeHead(204).end();
    else {
      stop.abort(new Error('enough'));
      response.end('<R><UploadId>u-1</UploadId></R>');
    }
  });
  await assert.rejects(storage.createMultipart('k', { signal: stop.signal }), /enough/);
  assert.match(requests.at(-1)?.url ?? '', /uploadId=u-1/);
  assert.equal(requests.at(-1)?.method, 'DELETE');
});

test('aborts orphans of all pages by the time they were started', async (t) => {
  const upload = (key: string, initiated: string) =>
    `<Upload><Key>${key}</Key><UploadId>id-${key}</UploadId><Initiated>${initiated}</Initiated></Upload>`;
  const { storage, requests } = await startAnswering(t, (request, response) => {
    const after = new URL(request.url ?? '', 'http://x').searchParams.get('key-marker');
    if (request.method === 'DELETE') response.writeHead(204).end();
    else if (after === null) {
      const first = upload('old', '2026-01-01T00:00:00.000Z') + upload('young', '2026-03-01T00:00:00.000Z');
      response.end(`<R><IsTruncated>true</IsTruncated><NextKeyMarker>young</NextKeyMarker>${first}</R>`);
    } else response.end(`<R><IsTruncated>false</IsTruncated>${upload('older', '2025-01-01T00:00:00.000Z')}</R>`);
  });
  assert.deepEqual(await storage.abortOrphans('', new Date('2026-02-01T00:00:00Z')), ['old', 'older']);
  const aborted = requests.filter(({ method }) => method === 'DELETE').map(({ url }) => url?.split('?')[0]);
  assert.deepEqual(aborted, ['/bucket/old', '/bucket/older']);
});

test('calls an endpoint that nobody serves broken and hints at it', async (t) => {
  const { storage, close } = await startAnswering(t, (_request, response) => response.end());
  await close();
  const error = await failureOf(storage.head('k'));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /ECONNREFUSED.*check endpointURL/);
});

/** All that an error could show, its causes and odd fields included. */
function everythingOf(error: unknown): string {
  return inspect(error, { depth: 10, showHidden: true });
}
