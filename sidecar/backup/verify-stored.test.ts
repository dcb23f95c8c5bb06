import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { CorruptError } from '../../api/errors.ts';
import { FakeStorage } from '../../test/fake-storage.ts';
import { verifyStored } from './verify-stored.ts';

const SIGNAL = AbortSignal.timeout(10_000);
const BYTES = Buffer.from('the bytes of a tar');
const TAR = {
  key: 'b/data.tar',
  sizeBytes: BYTES.length,
  crc32: crc32(BYTES).toString(16).padStart(8, '0'),
};

test('objects that are as they were confirmed pass on a look at each', async () => {
  const { storage, verify } = await stage();
  storage.requests.length = 0;
  await verify();
  assert.deepEqual(storage.requests, ['head b/data.tar']);
});

test('an object that is gone, or has another size, is named', async () => {
  const { storage, verify } = await stage();
  storage.plant(TAR.key, BYTES.subarray(1));
  await assert.rejects(verify(), isCorrupt(/b\/data\.tar: sent 18 bytes, the store holds 17/));
  storage.objects.delete(TAR.key);
  await assert.rejects(verify(), isCorrupt(/b\/data\.tar was uploaded, but the store does not hold it/));
});

test('another ETag lets the bytes decide', async () => {
  const { storage, verify } = await stage(new Map([[TAR.key, 'another spelling']]));
  await verify();
  assert.ok(storage.requests.includes('get b/data.tar'));
  storage.plant(TAR.key, Buffer.from(BYTES.toString().toUpperCase()));
  await assert.rejects(verify(), isCorrupt(/b\/data\.tar: sent bytes with CRC-32 [0-9a-f]{8}, the store holds/));
});

async function stage(etags?: Map<string, string>) {
  const storage = new FakeStorage();
  const { etag } = await storage.put(TAR.key, BYTES);
  return { storage, verify: () => verifyStored(storage, [TAR], etags ?? new Map([[TAR.key, etag]]), SIGNAL) };
}

function isCorrupt(message: RegExp) {
  return (error: unknown) => error instanceof CorruptError && message.test(error.message);
}
