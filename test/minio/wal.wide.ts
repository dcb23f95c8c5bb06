// The whole way of WAL files through MinIO, packed with every codec.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { ConflictError, NotFoundError } from '../../api/errors.ts';
import { startMinio, type TestMinio } from '../servers/minio.ts';
import { walLike } from '../wal-like.ts';
import { BUCKET, listing, openStorage, walPlace } from '../wal-place.ts';

const SEGMENT = '0000000100000004000000A7';
const FILES: Record<string, Buffer> = {
  [SEGMENT]: walLike(16 << 20),
  '0000000100000004000000A8.partial': walLike(1 << 20, 2),
  [`${SEGMENT}.00000028.backup`]: Buffer.from('START WAL LOCATION: 4/A7000028\n'),
  '00000002.history': Buffer.from('1\t4/A8000000\tno recovery target specified\n'),
};

let minio: TestMinio;
before(async () => {
  minio = await startMinio();
  await minio.createBucket(BUCKET);
});
after(() => minio.stop());

for (const codec of ['none', 'gzip', 'bzip2', 'lz4', 'snappy', 'xz', 'zstd'] as const) {
  test(`WAL files stored in MinIO with ${codec} come back, are known again, and are never replaced`, async (t) => {
    const setting = codec === 'none' ? {} : { wal: { compression: codec } };
    const place = await walPlace(t, openStorage(t, minio), codec, FILES, setting);
    await assert.rejects(place.restore(SEGMENT), NotFoundError);
    for (const file of Object.keys(FILES)) await place.archive(file);
    for (const [file, content] of Object.entries(FILES)) assert.ok((await place.restore(file)).equals(content), file);
    const stored = await listing(place.storage, codec);
    assert.equal(stored.length, Object.keys(FILES).length);
    for (const file of Object.keys(FILES)) {
      await place.archive(file);
      await writeFile(place.pathOf(file), 'another content');
      await assert.rejects(place.archive(file), ConflictError);
    }
    assert.deepEqual(await listing(place.storage, codec), stored);
    assert.equal(place.storage.capabilities.conditionalPut, true);
  });
}
