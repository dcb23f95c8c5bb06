import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeDurably } from './durable-file.ts';

test('makes a file appear whole, with its mode, replacing what was there', async (t) => {
  const folder = await newFolder(t);
  const path = join(folder, 'RECOVERYXLOG');
  await writeFile(path, 'old and longer');
  await writeDurably(
    path,
    async (file, temporaryPath) => {
      await file.writeFile('new');
      assert.equal(await readFile(path, 'utf8'), 'old and longer');
      assert.equal(await readFile(temporaryPath, 'utf8'), 'new');
    },
    { mode: 0o640 },
  );
  assert.equal(await readFile(path, 'utf8'), 'new');
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  assert.deepEqual(await readdir(folder), ['RECOVERYXLOG']);
});

test('leaves everything as it was when writing fails, and throws what failed', async (t) => {
  const folder = await newFolder(t);
  const path = join(folder, 'file');
  await writeFile(path, 'old');
  const failing = writeDurably(path, async (file) => {
    await file.writeFile('half');
    throw new RangeError('cut');
  });
  await assert.rejects(failing, RangeError);
  assert.equal(await readFile(path, 'utf8'), 'old');
  assert.deepEqual(await readdir(folder), ['file']);
});

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-durable-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}
