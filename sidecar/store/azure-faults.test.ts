// What Azure, or something in front of it, answers when all is not well.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { buffer, text } from 'node:stream/consumers';
import { test } from 'node:test';
import { startAnsweringAzure } from '../../test/azure/answering-azure.ts';
import { azureSettings } from '../../test/azure/settings.ts';
import { failureOf, MARKER } from '../../test/servers/answering-s3.ts';
import { startAzurite } from '../../test/servers/azurite.ts';
import { createAzureStorage } from './azure.ts';
import { AzureError, azureError } from './azure-errors.ts';

const FOUND = { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() };

test('a request that is throttled once is repeated, and one that always is says so with its request id', async (t) => {
  const { storage, requests } = await startAnsweringAzure(t, (_request, response) => {
    if (requests.length === 1) response.writeHead(503, { 'x-ms-error-code': 'ServerBusy' }).end();
    else response.writeHead(200, { ...FOUND, 'content-length': '7' }).end();
  });
  assert.equal((await storage.head('a'))?.sizeBytes, 7);
  const busy = { 'x-ms-error-code': 'ServerBusy', 'x-ms-request-id': 'id-7' };
  const always = await startAnsweringAzure(t, (_request, response) => response.writeHead(503, busy).end());
  const error = await failureOf(always.storage.head('a'));
  assert.equal(error.failure, 'throttled');
  assert.match(error.message, /^azure GetBlobProperties container\/a: .*ServerBusy.*HTTP 503, request id id-7/);
});

test('the time that the store asks to wait is kept', () => {
  const headers = new Headers({ 'retry-after': '7', 'x-ms-error-code': 'ServerBusy' });
  const thrown = Object.assign(new Error('busy'), { statusCode: 503, response: { headers } });
  const error = azureError(thrown, { operation: 'PutBlob', key: 'c/k', secrets: [] });
  assert.ok(error instanceof AzureError);
  assert.equal(error.waitMs, 7_000);
});

test('a body that ends early is an error, not a short object', async (t) => {
  const { storage } = await startAnsweringAzure(t, (_request, response) => {
    response.writeHead(200, { ...FOUND, 'content-length': '1000' });
    response.write('half');
    setImmediate(() => response.destroy());
  });
  const got = await storage.get('a');
  assert.ok(got);
  await assert.rejects(buffer(got.body), { name: 'StoreError', failure: 'broken' });
});

test('an answer to a range that has the whole is a matter of settings', async (t) => {
  const { storage } = await startAnsweringAzure(t, (_request, response) =>
    response.writeHead(200, { ...FOUND, 'content-length': '5' }).end('whole'),
  );
  const error = await failureOf(storage.get('a', { offset: 2 }));
  assert.equal(error.failure, 'misconfigured');
  assert.match(error.message, /ignored the range/);
});

test('a 404 that does not say of what is absent only when the container is there', async (t) => {
  const { storage } = await startAnsweringAzure(t, (request, response) => {
    const isContainer = request.url?.includes('restype=container') === true;
    response.writeHead(isContainer ? 200 : 404, FOUND).end();
  });
  assert.equal(await storage.head('a'), undefined);
  const nowhere = await startAnsweringAzure(t, (_request, response) => response.writeHead(404).end());
  assert.equal((await failureOf(nowhere.storage.head('a'))).failure, 'misconfigured');
});

test('other bytes than were sent are removed, if they are still the ones of this put', async (t) => {
  const { storage, requests } = await startAnsweringAzure(t, async (request, response) => {
    await text(request);
    if (request.method === 'DELETE') response.writeHead(202).end();
    else response.writeHead(201, { ...FOUND, 'content-md5': randomBytes(16).toString('base64') }).end();
  });
  const error = await failureOf(storage.put('a', Buffer.from('mine')));
  assert.equal(error.failure, 'broken');
  assert.match(error.message, /4 bytes with MD5 .* were sent, but the store holds MD5 .*: it was removed/);
  const deletes = requests.filter(({ method }) => method === 'DELETE');
  assert.ok(deletes.length > 0);
  for (const { headers } of deletes) assert.equal(headers['if-match'], '"0x1"');
});

test('neither a signature nor a key is in an error, whatever the store echoes', async (t) => {
  const { storage } = await startAnsweringAzure(
    t,
    (request, response) => response.writeHead(403, { 'content-type': 'text/plain' }).end(`no: ${request.url}`),
    { credentials: { sas: `sv=2024-11-04&sig=${MARKER}` } },
  );
  const error = await failureOf(storage.put('a', Buffer.from('x')));
  assert.equal(error.failure, 'refused');
  assert.doesNotMatch(JSON.stringify([error.message, error.stack, String(error.cause)]), new RegExp(MARKER));
});

test('a store without batches is asked for each object, and that is said once', async (t) => {
  const notes: string[] = [];
  const answer: RequestListener = async (request, response) => {
    await text(request);
    if (request.method === 'DELETE') response.writeHead(202).end();
    else response.writeHead(400, { 'x-ms-error-code': 'InvalidQueryParameterValue' }).end();
  };
  const { storage, requests } = await startAnsweringAzure(t, answer, {}, (note) => notes.push(note));
  for (const _ of [1, 2]) assert.deepEqual(await storage.delete(['a', 'b']), []);
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? '', /deletes no batches.*one by one/);
  assert.equal(requests.filter(({ method }) => method === 'POST').length, 1);
  assert.equal(requests.filter(({ method }) => method === 'DELETE').length, 4);
});

test('of a batch in which one object is leased the others go, and the one is named with the reason', async (t) => {
  const azurite = await startAzurite();
  t.after(() => azurite.stop());
  await azurite.createContainer('container');
  const storage = createAzureStorage(azureSettings(azurite));
  t.after(() => storage.close());
  const keys = ['d/one', 'd/two', 'd/three'];
  for (const key of keys) await storage.put(key, Buffer.from('x'));
  await azurite.container('container').getBlobClient('d/two').getBlobLeaseClient().acquireLease(-1);
  const failures = await storage.delete(keys);
  assert.deepEqual(
    failures.map(({ key }) => key),
    ['d/two'],
  );
  assert.match(failures[0]?.reason ?? '', /LeaseIdMissing.*a lease/);
  assert.equal(await storage.head('d/one'), undefined);
});
