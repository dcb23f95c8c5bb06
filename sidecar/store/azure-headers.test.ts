// What goes over the wire to Azure beside the bytes.
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { startAnsweringAzure } from '../../test/azure/answering-azure.ts';
import { md5Of } from '../../test/servers/answering-s3.ts';

const answer: RequestListener = async (request, response) => {
  const body = await buffer(request);
  const md5 = Buffer.from(md5Of(body).slice(1, -1), 'hex').toString('base64');
  const told = { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() };
  if (request.method === 'HEAD') response.writeHead(200, { ...told, 'content-length': '6' }).end();
  else response.writeHead(201, { ...told, 'content-md5': md5 }).end();
};

test('the encryption scope goes with every request that writes, each block included', async (t) => {
  const { storage, requests } = await startAnsweringAzure(t, answer, { encryptionScope: 'scope' });
  await storage.put('a', Buffer.from('abc'));
  const upload = await storage.createMultipart('b');
  for (const number of [1, 2]) await upload.part(number, Buffer.from('abc'));
  await upload.complete();
  const writing = requests.filter(({ method }) => method === 'PUT');
  assert.equal(writing.length, 4);
  for (const { headers } of writing) assert.equal(headers['x-ms-encryption-scope'], 'scope');
});

test('blocks travel with their MD5 and with ids as long as those of barman, up to the last that Azure takes', async (t) => {
  const { storage, requests } = await startAnsweringAzure(t, answer);
  const upload = await storage.createMultipart('b');
  for (const number of [1, storage.capabilities.maxParts]) await upload.part(number, Buffer.from('abc'));
  const ids = requests.map(({ url = '' }) => new URL(url, 'http://x').searchParams.get('blockid') ?? '');
  assert.deepEqual(
    ids.map((id) => Buffer.from(id, 'base64').toString()),
    ['00001', '50000'],
  );
  for (const { headers } of requests) assert.equal(headers['content-md5'], 'kAFQmDzST7DWlj99KOF/cg==');
});
