// Memory is bounded whatever the size: counted in buffers, because a process's own figures say little of one stream.
import assert from 'node:assert/strict';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { FakeStorage } from '../../test/fake-storage.ts';
import type { ObjectStorage } from '../store/store.ts';
import type { Codec } from '../stream/codec.ts';
import { codecByName } from '../stream/codec.ts';
import { openTarObject } from './tar-object.ts';

const GIB = 1024 ** 3;
const SIZES = process.env.CELLAR_ALL === '1' ? [GIB / 4, 20 * GIB] : [GIB / 4, GIB / 2];
const PART_BYTES = 8 * 1024 * 1024;
const JOBS = 2;

for (const sizeBytes of SIZES) {
  test(`a sparse file of ${sizeBytes / GIB} GiB goes through three blocks and three parts`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cellar-tar-memory-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, 'file');
    await writeFile(path, '');
    await truncate(path, sizeBytes);
    const blocks = new Set<ArrayBufferLike>();
    const parts = new Set<ArrayBufferLike>();
    const object = openTarObject(
      {
        ...{ storage: discarding(parts), codec: watched(blocks), partBytes: PART_BYTES, jobs: JOBS, put: {} },
        signal: new AbortController().signal,
      },
      'tar',
    );
    await object.add((tar) => tar.addFile('file', path));
    assert.ok((await object.finish()).sizeBytes > sizeBytes);
    // One that is filled, one that waits for the codec, one that is copied into a part.
    assert.ok(blocks.size <= 3, `${blocks.size} blocks`);
    assert.ok(parts.size <= JOBS + 1, `${parts.size} parts`);
  });
}

function watched(blocks: Set<ArrayBufferLike>): Codec {
  const transform = (chunk: Buffer, _encoding: BufferEncoding, callback: (error: null, chunk: Buffer) => void) => {
    blocks.add(chunk.buffer);
    callback(null, chunk);
  };
  return { ...codecByName('none'), encoder: () => new PassThrough({ transform }) };
}

/** Keeps nothing; takes a turn of the event loop for each part. */
function discarding(parts: Set<ArrayBufferLike>): ObjectStorage {
  const storage = new FakeStorage();
  storage.createMultipart = async (key) => {
    let sizeBytes = 0;
    return {
      part: async (_number, bytes) => {
        parts.add(bytes.buffer);
        sizeBytes += bytes.length;
        await new Promise((resolve) => setImmediate(resolve));
      },
      complete: async () => ({ key, sizeBytes, etag: '', lastModified: new Date() }),
      abort: async () => {},
    };
  };
  return storage;
}
