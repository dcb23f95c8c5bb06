import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { StoreError } from '../../api/errors.ts';
import { startS3 } from '../../test/servers/s3rver.ts';
import { testStore } from '../../test/store-suite.ts';
import { createS3Storage } from './s3.ts';
import { DEFAULT_LIMITS, type S3Settings } from './s3-settings.ts';

const MARKER = 'MARKER-that-must-stay-secret';

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
    else response.writeHead(200, { etag: `"${received.length}"` }).end();
  });
  const info = await storage.put('k', { stream: () => Readable.from([Buffer.alloc(5_000)]), sizeBytes: 5_000 });
  assert.equal(info.etag, '5000');
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
  const { storage, requests } = await startAnswering(t, (_request, response) =>
    response.writeHead(200, { etag: '"e"' }).end(),
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
    await buffer(request);
    const url = request.url ?? '';
    if (request.headers['if-none-match'] === '*' && stored.has(url)) response.writeHead(412).end();
    else response.writeHead(200, { etag: '"e"' }).end();
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
    await buffer(request);
    response.writeHead(request.headers['if-none-match'] === undefined ? 200 : 501, { etag: '"e"' }).end();
  });
  await storage.put('one', Buffer.from('x'), { onlyIf: 'absent' });
  assert.equal(storage.capabilities.conditionalPut, false);
  assert.equal(requests.at(-1)?.headers['if-none-match'], undefined);
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
  const partDigest = '900150983cd24fb0d6963f7d28e17f72';
  let etag = `"${createHash('md5').update(Buffer.from(partDigest, 'hex')).digest('hex')}-1"`;
  const { storage } = await startAnswering(t, (request, response) => {
    const url = request.url ?? '';
    if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '3', etag }).end();
    else if (request.method === 'PUT') response.writeHead(200, { etag: `"${partDigest}"` }).end();
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

function settingsFor(endpoint: string, overrides: Partial<S3Settings>): S3Settings {
  return {
    bucket: 'bucket',
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'STRANGER', secretAccessKey: MARKER },
    trustedCertificates: undefined,
    conditionalPut: 'unknown',
    requestChecksums: 'WHEN_REQUIRED',
    responseChecksums: 'WHEN_REQUIRED',
    ...DEFAULT_LIMITS,
    ...overrides,
  };
}

/** A server that answers as told, and a storage on it. */
async function startAnswering(t: TestContext, answer: RequestListener, settings: Partial<S3Settings> = {}) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const storage = createS3Storage(settingsFor(`http://127.0.0.1:${port}`, settings));
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  t.after(async () => {
    storage.close();
    await close();
  });
  return { storage, requests, close };
}

async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof StoreError, `not a StoreError: ${error}`);
  return error;
}

/** All that an error could show, its causes and odd fields included. */
function everythingOf(error: unknown): string {
  return inspect(error, { depth: 10, showHidden: true });
}
