// The store port over Azure's emulator, and what is Azure's alone.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { azureSettings } from '../../test/azure/settings.ts';
import { startAzurite, type TestAzurite } from '../../test/servers/azurite.ts';
import { read, testStore } from '../../test/store-suite.ts';
import { createAzureStorage } from './azure.ts';
import type { AzureSettings } from './azure-settings.ts';

const TRAITS = {
  keysOfThreePages: 2_001,
  conditionalPut: true,
  listsUploads: false,
  abortsUploads: true,
  dropsCutPuts: true,
  listsNestedFolders: true,
};

let azurite: TestAzurite;
before(async () => {
  azurite = await startAzurite();
  await azurite.createContainer('container');
});
after(() => azurite.stop());

testStore('azure (Azurite)', TRAITS, async () => {
  const storage = createAzureStorage(azureSettings(azurite));
  const missingBucket = createAzureStorage(azureSettings(azurite, { container: 'missing' }));
  const key = randomBytes(16).toString('base64');
  const strangers = createAzureStorage(azureSettings({ ...azurite, key }));
  const stop = async () => {
    for (const each of [storage, missingBucket, strangers]) each.close();
  };
  return { storage, missingBucket, strangers, stop };
});

test('keeps metadata whose names Azure does not take', async (t) => {
  const storage = open(t);
  await storage.put('meta', Buffer.from('x'), { metadata: { 'cellar-sha256': 'abc', 'cellar-stored-size': '1' } });
  const metadata = (await storage.head('meta'))?.metadata;
  assert.deepEqual(metadata, { 'cellar-sha256': 'abc', 'cellar-stored-size': '1' });
});

test('puts tags on objects in one request and in blocks', async (t) => {
  const storage = open(t);
  await storage.put('tagged/put', Buffer.from('x'), { tags: { tier: 'gold' } });
  const upload = await storage.createMultipart('tagged/blocks', { tags: { tier: 'gold' } });
  await upload.part(1, Buffer.from('x'));
  await upload.complete();
  for (const key of ['tagged/put', 'tagged/blocks']) {
    const { tags } = await azurite.container('container').getBlobClient(key).getTags();
    assert.deepEqual(tags, { tier: 'gold' });
  }
});

test('puts what is larger than one request may be in blocks, several at a time, under the same condition', async (t) => {
  const storage = open(t, { maxSinglePutBytes: 1_000, maxBlockBytes: 300, maxConcurrency: 4 });
  const bytes = randomBytes(3_100);
  const info = await storage.put('large', bytes, { metadata: { kind: 'large' }, onlyIf: 'absent' });
  const got = await read(storage, 'large');
  assert.ok(got.bytes.equals(bytes));
  assert.equal(got.info.etag, info.etag);
  assert.deepEqual(got.info.metadata, { kind: 'large' });
  const { committedBlocks } = await azurite
    .container('container')
    .getBlockBlobClient('large')
    .getBlockList('committed');
  assert.equal(committedBlocks?.length, 11);
  await assert.rejects(storage.put('large', bytes, { onlyIf: 'absent' }), { failure: 'conflict' });
});

test('shows nothing of an upload before it is complete, and nothing in a listing', async (t) => {
  const storage = open(t);
  const upload = await storage.createMultipart('hidden/one');
  await upload.part(1, randomBytes(1_000));
  assert.equal(await storage.head('hidden/one'), undefined);
  for await (const { key } of storage.list('hidden/')) assert.fail(`${key} is listed`);
  await upload.abort();
});

test('completes an upload again when the first answer was lost', async (t) => {
  const storage = open(t);
  const upload = await storage.createMultipart('twice');
  await upload.part(1, randomBytes(1_000));
  const first = await upload.complete();
  assert.equal((await upload.complete()).sizeBytes, first.sizeBytes);
});

function open(t: { after(end: () => void): void }, overrides: Partial<AzureSettings> = {}) {
  const storage = createAzureStorage(azureSettings(azurite, overrides));
  t.after(() => storage.close());
  return storage;
}
