// The store port over MinIO: the suite of every store, encryption and tags.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { GetObjectTaggingCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { startMinio, type TestMinio } from '../servers/minio.ts';
import { read, testStore } from '../store-suite.ts';
import { walLike } from '../wal-like.ts';
import { BUCKET, openStorage, walPlace } from '../wal-place.ts';

const SEGMENT = '0000000100000004000000A7';
const HISTORY = '00000002.history';
const FILES = { [SEGMENT]: walLike(1 << 20), [HISTORY]: Buffer.from('1\t4/A8000000\treason\n') };
const ENCRYPTIONS = [{ algorithm: 'AES256' }, { algorithm: 'aws:kms', kmsKeyId: 'cellar' }] as const;

// MinIO lists the uploads of one key, never those of all keys under a prefix.
const TRAITS = {
  keysOfThreePages: 2_001,
  conditionalPut: true,
  listsUploads: true,
  listsUploadsOfFolders: false,
  abortsUploads: true,
  dropsCutPuts: true,
  listsNestedFolders: true,
};

testStore('s3 (MinIO)', TRAITS, async () => {
  const minio = await startMinio();
  await minio.createBucket(BUCKET);
  const closing: (() => void)[] = [];
  const closer = { after: (close: () => void) => void closing.push(close) };
  return {
    storage: openStorage(closer, minio),
    missingBucket: openStorage(closer, minio, { bucket: 'missing' }),
    strangers: openStorage(closer, { ...minio, accessKeyId: 'stranger', secretAccessKey: 'of-no-meaning' }),
    async stop() {
      for (const close of closing) close();
      await minio.stop();
    },
  };
});

describe('MinIO', () => {
  let plain: TestMinio;
  let encrypting: TestMinio;
  before(async () => {
    [plain, encrypting] = await Promise.all([startMinio(), startMinio({ kms: true })]);
    await Promise.all([plain, encrypting].map((minio) => minio.createBucket(BUCKET)));
  });
  after(() => Promise.all([plain, encrypting].map((minio) => minio.stop())));

  for (const encryption of ENCRYPTIONS) {
    test(`a store that cannot encrypt with ${encryption.algorithm} refuses, says why, and stores nothing`, async (t) => {
      const storage = openStorage(t, plain);
      for (const attempt of [
        () => storage.put('refused', Buffer.from('x'), { encryption }),
        () => storage.createMultipart('refused', { encryption }),
      ]) {
        const error = await failureOf(attempt());
        assert.equal(error.failure, 'refused');
        assert.equal(error.retriable, false);
        assert.match(error.message, /^s3 \w+ bucket\/refused: .*\bKMS\b.*HTTP \d+, request id \w+/);
      }
      assert.equal(await storage.head('refused'), undefined);
    });

    test(`archiving with ${encryption.algorithm} to a store that cannot encrypt is a refusal, never "archived"`, async (t) => {
      const name = `refused-${encryption.algorithm.replace(':', '-')}`;
      const place = await walPlace(t, openStorage(t, plain), name, FILES, {
        wal: { encryption: encryption.algorithm },
      });
      const error = await failureOf(place.archive(SEGMENT));
      assert.equal(error.failure, 'refused');
      assert.match(error.message, /KMS/);
      assert.deepEqual(await place.storage.head(`backups/${name}/wals/${SEGMENT.slice(0, 16)}/${SEGMENT}`), undefined);
    });

    test(`an object put with ${encryption.algorithm} is stored encrypted, and its parts too, and both read back`, async (t) => {
      const storage = openStorage(t, encrypting);
      const content = walLike(1 << 20);
      await storage.put(`${encryption.algorithm}/whole`, content, { encryption });
      const upload = await storage.createMultipart(`${encryption.algorithm}/parts`, { encryption });
      await upload.part(1, content);
      await upload.complete();
      for (const key of [`${encryption.algorithm}/whole`, `${encryption.algorithm}/parts`]) {
        assert.ok((await read(storage, key)).bytes.equals(content));
        const head = await encrypting.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
        assert.equal(head.ServerSideEncryption, encryption.algorithm);
      }
    });

    test(`a WAL file archived with ${encryption.algorithm} is known again, restored, and encrypted`, async (t) => {
      const name = `encrypted-${encryption.algorithm.replace(':', '-')}`;
      const configuration = { wal: { encryption: encryption.algorithm, compression: 'gzip' } } as const;
      const place = await walPlace(t, openStorage(t, encrypting), name, FILES, configuration);
      await place.archive(SEGMENT);
      await place.archive(SEGMENT);
      assert.ok((await place.restore(SEGMENT)).equals(FILES[SEGMENT]));
      const Key = `backups/${name}/wals/${SEGMENT.slice(0, 16)}/${SEGMENT}.gz`;
      const head = await encrypting.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key }));
      assert.equal(head.ServerSideEncryption, encryption.algorithm);
    });
  }

  test('tags of WAL files are on the objects, those of history files instead of the general ones', async (t) => {
    const tags = { team: 'a b', empty: '', 'odd/key': 'p+l=u/s @:.' };
    const place = await walPlace(t, openStorage(t, plain), 'tagged', FILES, { tags, historyTags: { kind: 'history' } });
    for (const file of Object.keys(FILES)) await place.archive(file);
    const folder = 'backups/tagged/wals/';
    assert.deepEqual(await tagsOf(plain, `${folder}${SEGMENT.slice(0, 16)}/${SEGMENT}`), tags);
    assert.deepEqual(await tagsOf(plain, `${folder}${HISTORY}`), { kind: 'history' });
    const general = await walPlace(t, openStorage(t, plain), 'general', FILES, { tags, historyTags: {} });
    await general.archive(HISTORY);
    assert.deepEqual(await tagsOf(plain, `backups/general/wals/${HISTORY}`), tags);
  });

  test('tags of an upload in parts are on the object that it makes', async (t) => {
    const storage = openStorage(t, plain);
    const upload = await storage.createMultipart('in-parts', { tags: { a: 'b c' } });
    await upload.part(1, Buffer.from('x'));
    await upload.complete();
    assert.deepEqual(await tagsOf(plain, 'in-parts'), { a: 'b c' });
  });

  test('more tags than the store takes are refused with its reason', async (t) => {
    const tags = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`tag${index}`, 'x']));
    const error = await failureOf(openStorage(t, plain).put('many-tags', Buffer.from('x'), { tags }));
    assert.equal(error.failure, 'refused');
    assert.match(error.message, /tags/i);
  });
});

async function tagsOf(minio: TestMinio, key: string): Promise<Record<string, string>> {
  const { TagSet = [] } = await minio.client.send(new GetObjectTaggingCommand({ Bucket: BUCKET, Key: key }));
  return Object.fromEntries(TagSet.map(({ Key = '', Value = '' }) => [Key, Value]));
}

async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof StoreError, `not a StoreError: ${error}`);
  return error;
}
