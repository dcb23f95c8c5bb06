import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { CorruptError, PreconditionError } from '../../api/errors.ts';
import { codecByName } from '../stream/codec.ts';
import { packFile } from './pack.ts';

const folder = mkdtempSync(join(tmpdir(), 'cellar-pack-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const quiet = new AbortController().signal;
const content = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * index) % 251));
const sha256 = createHash('sha256').update(content).digest('hex');

test('packs in memory and tells digest and size of the content', async () => {
  const packed = await packFile(file('packed', content), codecByName('gzip'), quiet);
  assert.ok(packed.body instanceof Uint8Array);
  assert.ok(gunzipSync(packed.body).equals(content));
  assert.equal(packed.storedBytes, packed.body.length);
  assert.deepEqual([packed.sha256, packed.sizeBytes], [sha256, content.length]);
});

test('content that is not packed is streamed from disk, as often as the store asks', async () => {
  const packed = await packFile(file('raw', content), codecByName('none'), quiet);
  assert.ok(!(packed.body instanceof Uint8Array));
  assert.equal(packed.body.sizeBytes, content.length);
  assert.ok((await buffer(packed.body.stream())).equals(content));
  assert.ok((await buffer(packed.body.stream())).equals(content));
  assert.equal(packed.sha256, sha256);
});

test('an empty file is packed too', async () => {
  const packed = await packFile(file('empty', ''), codecByName('none'), quiet);
  assert.ok(!(packed.body instanceof Uint8Array));
  assert.equal((await buffer(packed.body.stream())).length, 0);
});

test('refuses a file that grows or shrinks while it is read', async () => {
  for (const change of [
    (path: string) => appendFileSync(path, 'more'),
    (path: string) => truncateSync(path, content.length - 1),
  ]) {
    const path = file('moving', content);
    const gzip = codecByName('gzip');
    const moving = {
      ...gzip,
      encoder: () => {
        change(path);
        return gzip.encoder();
      },
    };
    await assert.rejects(packFile(path, moving, quiet), CorruptError);
  }
});

test('a streamed file that is not what it was ends in an error before its last byte', async () => {
  const path = file('changed', content);
  const packed = await packFile(path, codecByName('none'), quiet);
  assert.ok(!(packed.body instanceof Uint8Array));
  writeFileSync(path, Buffer.alloc(content.length, 1));
  let receivedBytes = 0;
  await assert.rejects(async () => {
    if (packed.body instanceof Uint8Array) return;
    for await (const chunk of packed.body.stream()) receivedBytes += chunk.length;
  }, CorruptError);
  assert.ok(receivedBytes < content.length, 'the store cannot have met the announced length');
});

test('a missing file and a folder are named as such', async () => {
  await assert.rejects(packFile(join(folder, 'nowhere'), codecByName('gzip'), quiet), (error) => {
    assert.ok(error instanceof PreconditionError);
    assert.match(error.message, /there is no file .*nowhere/);
    return true;
  });
  await assert.rejects(packFile(folder, codecByName('gzip'), quiet), PreconditionError);
});

test('stops when the caller gives up', async () => {
  await assert.rejects(packFile(file('given-up', content), codecByName('gzip'), AbortSignal.abort(new Error('gone'))));
});

function file(name: string, bytes: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}
