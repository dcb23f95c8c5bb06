// WAL files both ways between the barman tools and us, in every form that either writes (object-store-layout.md §2, §3).
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { ConflictError } from '../../api/errors.ts';
import { startS3, type TestS3 } from '../servers/s3rver.ts';
import { walLike } from '../wal-like.ts';
import { BUCKET, listing, openStorage, type WalPlace, walPlace } from '../wal-place.ts';
import { barman } from './barman.ts';
import { type CodecWorker, startCodecWorker } from './codec-worker.ts';

const PYTHON = process.env.BARMAN_PYTHON;
const URL = `s3://${BUCKET}/backups`;
const SEGMENT = '0000000100000004000000A7';
const CUT_OFF = '0000000100000004000000A8';
const BACKUP_LABEL = `${SEGMENT}.00000028.backup`;
const whole = walLike(16 << 20, 11);
const cutOff = walLike(1 << 20, 12);
/** One file of each kind; the partial one has no full segment beside it, as after a promotion. */
const FILES: Record<string, Buffer> = {
  [SEGMENT]: whole,
  [`${CUT_OFF}.partial`]: cutOff,
  [BACKUP_LABEL]: Buffer.from(`START WAL LOCATION: 4/A7000028 (file ${SEGMENT})\n`),
  '00000002.history': Buffer.from('1\t4/A8000000\tno recovery target specified\n'),
};
const NAMES = Object.keys(FILES);

/** Option and suffix of barman, and the module that it unpacks with. */
const CODECS = {
  none: { options: [], suffix: '', module: undefined },
  gzip: { options: ['--gzip'], suffix: '.gz', module: 'gzip' },
  bzip2: { options: ['--bzip2'], suffix: '.bz2', module: 'bz2' },
  lz4: { options: ['--lz4'], suffix: '.lz4', module: 'lz4.frame' },
  snappy: { options: ['--snappy'], suffix: '.snappy', module: 'snappy' },
  xz: { options: ['--xz'], suffix: '.xz', module: 'lzma' },
  zstd: { options: ['--zstd'], suffix: '.zst', module: 'zstandard' },
} as const;
const ALL = ['none', 'gzip', 'bzip2', 'lz4', 'snappy', 'xz', 'zstd'] as const;

let folder: string;
let server: TestS3;
let worker: CodecWorker;

before(async () => {
  assert.ok(PYTHON, 'BARMAN_PYTHON names no Python: run npm run check:barman');
  folder = await mkdtemp(join(tmpdir(), 'cellar-interop-'));
  server = await startS3();
  await server.createBucket(BUCKET);
  worker = startCodecWorker(PYTHON);
});
after(async () => {
  await worker.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

for (const codec of ALL) {
  const { options, suffix, module } = CODECS[codec];
  const setting = codec === 'none' ? {} : { wal: { compression: codec } };

  test(`every kind of WAL file that barman archives with ${codec} comes back from us as it was`, async (t) => {
    const name = `theirs-${codec}`;
    const place = await placeOf(t, name, setting);
    await barmanArchives(place, name, options);
    const stored = (await listing(place.storage, name)).map(({ key }) => key.slice(`backups/${name}/wals/`.length));
    const expected = NAMES.map((file) => (file.endsWith('.history') ? file : `${file.slice(0, 16)}/${file}`));
    // s3rver lists in an order of its own.
    assert.deepEqual(stored.sort(), expected.map((file) => file + suffix).sort());
    for (const [file, content] of Object.entries(FILES)) assert.ok((await place.restore(file)).equals(content), file);
    assert.ok((await place.restore(CUT_OFF)).equals(cutOff), 'a segment of which only the partial file is there');
  });

  test(`every kind of WAL file that we archive with ${codec} comes back from barman as it was`, async (t) => {
    const name = `ours-${codec}`;
    const place = await placeOf(t, name, setting);
    for (const file of NAMES) await place.archive(file);
    for (const [file, content] of Object.entries(FILES)) {
      // barman serves no backup labels (§3.1; nobody asks for them): its module reads what is stored.
      const restored = file === BACKUP_LABEL ? await unpacked(place, module, suffix) : await barmanRestores(name, file);
      assert.ok(restored.equals(content), file);
    }
    assert.ok(
      (await barmanRestores(name, CUT_OFF)).equals(cutOff),
      'a segment of which only the partial file is there',
    );
  });

  test(`of what barman archived with ${codec} the same is not written again, and another content is refused`, async (t) => {
    const name = `known-${codec}`;
    const place = await placeOf(t, name, setting);
    await barmanArchives(place, name, options);
    const stored = await listing(place.storage, name);
    for (const file of NAMES) await place.archive(file);
    // Also by an ObjectStore that names another codec by now.
    await place.with({ wal: codec === 'lz4' ? {} : { compression: 'lz4' } }).archive(SEGMENT);
    for (const [file, content] of Object.entries(FILES)) {
      await writeFile(place.pathOf(file), oneBitOff(content));
      await assert.rejects(place.archive(file), (error) => {
        assert.ok(error instanceof ConflictError, `${file}: ${error}`);
        assert.match(error.message, /already stored with another content/);
        return true;
      });
    }
    assert.deepEqual(place.puts, []);
    assert.deepEqual(await listing(place.storage, name), stored);
  });
}

for (const codec of ['none', 'gzip', 'xz'] as const) {
  test(`a whole segment is served, not the partial one that barman has archived with ${codec} beside it`, async (t) => {
    const name = `beside-${codec}`;
    const files = { [`${SEGMENT}.partial`]: walLike(16 << 20, 13), [SEGMENT]: whole };
    const place = await placeOf(t, name, codec === 'none' ? {} : { wal: { compression: codec } }, files);
    await barmanArchives(place, name, CODECS[codec].options, Object.keys(files));
    assert.ok((await place.restore(SEGMENT)).equals(whole));
  });
}

function placeOf(
  t: TestContext,
  name: string,
  configuration: Parameters<WalPlace['with']>[0],
  files = FILES,
): Promise<WalPlace> {
  return walPlace(t, openStorage(t, server), name, files, configuration);
}

async function barmanArchives(place: WalPlace, name: string, options: readonly string[], files = NAMES): Promise<void> {
  await Promise.all(files.map((file) => barman(server, 'wal-archive', [...options, URL, name, place.pathOf(file)])));
}

async function barmanRestores(name: string, file: string): Promise<Buffer> {
  const destination = join(folder, `${name}-${file}`);
  await barman(server, 'wal-restore', [URL, name, file, destination]);
  return readFile(destination);
}

async function unpacked(place: WalPlace, module: string | undefined, suffix: string): Promise<Buffer> {
  const stored = await place.stored(`${SEGMENT.slice(0, 16)}/${BACKUP_LABEL}${suffix}`);
  return module === undefined ? stored : worker.call(module, 'unpack', 0, stored);
}

function oneBitOff(content: Buffer): Buffer {
  const changed = Buffer.from(content);
  const middle = changed.length >> 1;
  changed[middle] = (changed[middle] ?? 0) ^ 1;
  return changed;
}
