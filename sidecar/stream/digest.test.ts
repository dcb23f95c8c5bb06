import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { Digest } from './digest.ts';

test('counts and hashes what flows through, unchanged', async () => {
  const bytes = randomBytes(500_000);
  const digest = new Digest();
  const out = await pipeline(Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]), digest, buffer);
  assert.deepEqual(out, bytes);
  assert.equal(digest.sizeBytes, bytes.length);
  assert.equal(digest.hex, createHash('sha256').update(bytes).digest('hex'));
});

test('tells no digest before the end', () => {
  assert.throws(() => new Digest().hex, /ended/);
});
