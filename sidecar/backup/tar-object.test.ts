// However a tar fails, no upload is left open, and what is thrown is what failed first.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FakeStorage } from '../../test/fake-storage.ts';
import { randomLike } from '../../test/wal-like.ts';
import { codecByName } from '../stream/codec.ts';
import { openTarObject } from './tar-object.ts';

const PART_BYTES = 500_000;

type Fault = (key: string, stop: AbortController) => void;

const FAULTS: [what: string, fault: Fault][] = [
  ['the upload does not begin', (key) => failAt(key, 'tar')],
  ['the first part fails', (key) => failAt(key, 'tar#1')],
  ['a later part fails', (key) => failAt(key, 'tar#5')],
  ['the upload does not end', (key) => failAt(key, 'tar#complete')],
  ['the backup is cancelled', (key, stop) => key === 'tar#3' && stop.abort(new Error('failed'))],
];

for (const codec of ['none', 'gzip', 'bzip2', 'lz4'] as const) {
  for (const [what, fault] of FAULTS) {
    test(`${codec}: ${what}: the upload is aborted before that is thrown`, async (t) => {
      const path = join(await makeFolder(t), 'file');
      await writeFile(path, randomLike(2_000_000));
      const stop = new AbortController();
      const { storage, open } = counting((key) => fault(key, stop));
      const target = { storage, codec: codecByName(codec), partBytes: PART_BYTES, jobs: 2, put: {} };
      const object = openTarObject({ ...target, signal: stop.signal }, 'tar');
      const copying = async () => {
        for (let index = 0; index < 6; index++) await object.add((tar) => tar.addFile(`f${index}`, path));
        await object.finish();
      };
      await assert.rejects(copying(), /^Error: failed/);
      assert.equal(open(), 0);
      await object.abandon(new Error('later'));
      assert.equal(storage.objects.size, 0);
    });
  }
}

test('a file that cannot be read ends the tar when it is given up, with its upload', async (t) => {
  const path = join(await makeFolder(t), 'file');
  await writeFile(path, randomLike(2_000_000));
  const { storage, open, opened } = counting(() => {});
  const target = { storage, codec: codecByName('none'), partBytes: PART_BYTES, jobs: 2, put: {} };
  const object = openTarObject({ ...target, signal: new AbortController().signal }, 'tar');
  for (const name of ['a', 'b']) await object.add((tar) => tar.addFile(name, path));
  const inspect = () => Promise.reject(new Error('EIO'));
  await assert.rejects(
    object.add((tar) => tar.addFile('c', path, { inspect })),
    /EIO/,
  );
  await object.abandon(new Error('EIO'));
  assert.deepEqual([opened(), open()], [1, 0]);
});

/** Counts the uploads that were begun and neither completed nor aborted. Aborting takes a moment. */
function counting(before: (key: string) => void) {
  const storage = new FakeStorage({ minPartBytes: 1 });
  storage.before = (_verb, key) => before(key);
  const create = storage.createMultipart.bind(storage);
  let open = 0;
  let opened = 0;
  storage.createMultipart = async (key, options) => {
    const upload = await create(key, options);
    open++;
    opened++;
    return {
      part: upload.part,
      complete: async (completion) => {
        const info = await upload.complete(completion);
        open--;
        return info;
      },
      abort: async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        open--;
      },
    };
  };
  return { storage, open: () => open, opened: () => opened };
}

function failAt(key: string, at: string): void {
  if (key === at) throw new Error('failed');
}

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-tar-object-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
