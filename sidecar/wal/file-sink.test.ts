import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, test } from 'node:test';
import { FileSink } from './file-sink.ts';

const folder = mkdtempSync(join(tmpdir(), 'cellar-sink-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(1000 * index, index));

test('the file holds every byte in order, and can be closed afterwards', async () => {
  const path = join(folder, 'whole');
  const file = await open(path, 'wx');
  await pipeline(Readable.from(chunks), new FileSink(file));
  await file.close();
  assert.ok(readFileSync(path).equals(Buffer.concat(chunks)));
});

test('size and SHA-256 are those of what was written', async () => {
  const file = await open(join(folder, 'digest'), 'wx');
  const sink = new FileSink(file, { digest: true });
  await pipeline(Readable.from(chunks), sink);
  await file.close();
  const whole = Buffer.concat(chunks);
  assert.deepEqual(
    { sizeBytes: sink.sizeBytes, digest: sink.digest() },
    { sizeBytes: whole.length, digest: createHash('sha256').update(whole).digest('hex') },
  );
});

test('short writes are continued where they stopped', async () => {
  const path = join(folder, 'short');
  const file = await open(path, 'wx');
  const writev = file.writev.bind(file);
  file.writev = async (buffers) => {
    const [first] = buffers;
    if (!(first instanceof Buffer)) return writev(buffers);
    const written = await writev([first.subarray(0, 777)]);
    return { ...written, buffers };
  };
  await pipeline(Readable.from(chunks), new FileSink(file));
  await file.close();
  assert.ok(readFileSync(path).equals(Buffer.concat(chunks)));
});

test('a file that cannot be written fails the pipeline', async () => {
  const file = await open(join(folder, 'whole'), 'r');
  await assert.rejects(pipeline(Readable.from(chunks), new FileSink(file)), { code: 'EBADF' });
  await file.close();
});
