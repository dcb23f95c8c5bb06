import assert from 'node:assert/strict';
import { mkdtemp, readdir, readlink, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { readAhead } from './read-ahead.ts';
import { createTarWriter } from './tar.ts';
import { walkTree } from './tree.ts';

const SIGNAL = new AbortController().signal;
const all = () => 'take' as const;

test('a tar of what was read ahead is the tar of the files themselves', async (t) => {
  const folder = await makeFolder(t, [
    0,
    1,
    512,
    8192,
    65_536,
    65_537,
    3_000_000,
    ...Array.from({ length: 30 }, () => 9),
  ]);
  const ahead = createTarWriter();
  const plain = createTarWriter();
  const filling = (async () => {
    for await (const { entry, opened } of readAhead(walkTree(folder, all, SIGNAL))) {
      if (opened !== undefined) await ahead.addFile(entry.path, opened);
    }
    await ahead.finish();
    for await (const entry of walkTree(folder, all, SIGNAL)) {
      if (entry.kind === 'file') await plain.addFile(entry.path, entry.source);
    }
    await plain.finish();
  })();
  const [first, second] = [await buffer(ahead.bytes), await buffer(plain.bytes)];
  await filling;
  assert.ok(first.equals(second));
  assert.deepEqual(await openBelow(folder), []);
});

test('what vanishes before it is opened is told as such', async (t) => {
  const folder = await makeFolder(t, [10]);
  const entries = walkTree(folder, all, SIGNAL);
  async function* vanishing() {
    for await (const entry of entries) {
      if (entry.kind === 'file') await unlink(entry.source);
      yield entry;
    }
  }
  const found: unknown[] = [];
  for await (const { opened } of readAhead(vanishing())) found.push(await opened);
  assert.deepEqual(found, [undefined, undefined]);
});

test('stopping in the middle leaves no file open', async (t) => {
  const folder = await makeFolder(
    t,
    Array.from({ length: 40 }, () => 100_000),
  );
  let taken = 0;
  for await (const _ of readAhead(walkTree(folder, all, SIGNAL))) {
    taken++;
    if (taken === 5) assert.ok((await openBelow(folder)).length > 4, 'files are open ahead');
    if (taken === 5) break;
  }
  // Those that were taken before were never opened by anybody here, and stay: four, less the folder itself.
  assert.equal((await openBelow(folder)).length, 3);
});

async function makeFolder(t: TestContext, sizes: readonly number[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-ahead-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const [index, size] of sizes.entries())
    await writeFile(join(folder, `f${index}`), Buffer.alloc(size, index + 1));
  return folder;
}

/** Files of a folder that this process holds open (Linux). */
async function openBelow(folder: string): Promise<string[]> {
  const targets = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(`${folder}/`));
}
