// WAL files both ways between the barman tools and us, over Google Cloud Storage.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { createGcsStorage } from '../../sidecar/store/gcs.ts';
import type { ObjectStorage } from '../../sidecar/store/store.ts';
import { findOnPath } from '../interop/path.ts';
import { startFakeGcs, type TestFakeGcs } from '../servers/fake-gcs.ts';
import { walLike } from '../wal-like.ts';
import { walPlace } from '../wal-place.ts';
import { gcsSettings } from './settings.ts';

const SEGMENT = '0000000100000004000000A7';
const FILES = { [SEGMENT]: walLike(16 << 20, 7), '00000002.history': Buffer.from('1\t4/A8000000\treason\n') };
const URL = 'gs://bucket/backups';
const PROVIDER = ['--cloud-provider', 'google-cloud-storage'];
const skip =
  findOnPath('barman-cloud-wal-archive') === undefined ? 'NOT COVERED: the barman tools are not on the PATH' : false;

let server: TestFakeGcs;
let storage: ObjectStorage;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellar-gcs-barman-'));
  server = await startFakeGcs();
  await server.createBucket('bucket');
  storage = createGcsStorage(gcsSettings(server.endpoint));
});
after(async () => {
  storage.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

for (const compression of [undefined, 'gzip', 'bzip2', 'zstd'] as const) {
  const title = compression ?? 'no codec';

  test(`barman restores what we archived with ${title}`, { skip }, async (t) => {
    const place = await walPlace(t, storage, `ours-${title}`, FILES, compression ? { wal: { compression } } : {});
    for (const [name, content] of Object.entries(FILES)) {
      await place.archive(name);
      const target = join(folder, `${title}-${name}`);
      await barman('wal-restore', [URL, `ours-${title}`, name, target]);
      assert.ok((await readFile(target)).equals(content));
    }
  });

  test(`we restore what barman archived with ${title}, and know it again`, { skip }, async (t) => {
    const place = await walPlace(t, storage, `theirs-${title}`, FILES);
    for (const [name, content] of Object.entries(FILES)) {
      const codec = compression === undefined ? [] : [`--${compression}`];
      await barman('wal-archive', [...codec, URL, `theirs-${title}`, place.pathOf(name)]);
      assert.ok((await place.restore(name)).equals(content));
      await place.archive(name);
    }
  });
}

test('barman reads an object that we sent in parts', { skip }, async () => {
  const upload = await storage.createMultipart(`backups/parts/wals/${SEGMENT.slice(0, 16)}/${SEGMENT}`);
  const content = FILES[SEGMENT] ?? Buffer.alloc(0);
  for (const [index, at] of [0, 5_000_000, 10_000_000, 15_000_000].entries()) {
    await upload.part(index + 1, content.subarray(at, at + 5_000_000));
  }
  await upload.complete();
  const target = join(folder, 'parts');
  await barman('wal-restore', [URL, 'parts', SEGMENT, target]);
  assert.ok((await readFile(target)).equals(content));
});

async function barman(tool: string, args: readonly string[]): Promise<void> {
  const child = spawn(`barman-cloud-${tool}`, [...PROVIDER, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, STORAGE_EMULATOR_HOST: server.endpoint },
  });
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [words, status] = await Promise.all([text(child.stderr), ended]);
  assert.equal(status, 0, `barman-cloud-${tool}: ${words}`);
}
