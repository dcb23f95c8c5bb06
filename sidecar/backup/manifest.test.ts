import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { type BackupManifest, formatManifest, parseManifest, readManifest } from './manifest.ts';

const ID = '20261122T073041';
const MANIFEST: BackupManifest = {
  version: 1,
  state: 'complete',
  startedAt: '2026-11-22T07:30:41.000Z',
  instance: 'pg-1',
  uploads: ['data.tar.gz', '16384.tar.gz'],
  objects: [{ name: 'data_0001.tar.gz', sizeBytes: 5_000_000_000, crc32: '00ff00ff' }],
  damagedBlocks: [{ path: 'base/5/1259', block: 131_073 }],
};
const { damagedBlocks: _, ...UNVERIFIED } = MANIFEST;

test('what was written is read again', () => {
  const running: BackupManifest = { ...UNVERIFIED, state: 'running', objects: [] };
  for (const manifest of [MANIFEST, UNVERIFIED, running]) {
    assert.deepEqual(parseManifest(formatManifest(manifest)), manifest);
  }
});

const FOREIGN: Record<string, unknown> = {
  'another version': { ...MANIFEST, version: 2 },
  'another state': { ...MANIFEST, state: 'done' },
  'no start': { ...MANIFEST, startedAt: undefined },
  'a sign of life that is no time': { ...MANIFEST, aliveAt: 7 },
  'a start that is no time': { ...MANIFEST, startedAt: 'yesterday' },
  'no instance': { ...MANIFEST, instance: 1 },
  'an upload that leaves the folder': { ...MANIFEST, uploads: ['../20261123T000000/data.tar'] },
  'an object without a size': { ...MANIFEST, objects: [{ name: 'data.tar', crc32: '00ff00ff' }] },
  'an object in another folder': { ...MANIFEST, objects: [{ name: 'a/b', sizeBytes: 1, crc32: '00ff00ff' }] },
  'a checksum that is none': { ...MANIFEST, objects: [{ name: 'data.tar', sizeBytes: 1, crc32: 'ff' }] },
  'a block that is no number': { ...MANIFEST, damagedBlocks: [{ path: 'base/5/1', block: '1' }] },
  'a list': [MANIFEST],
  nothing: null,
};

for (const [what, value] of Object.entries(FOREIGN)) {
  test(`a manifest with ${what} is not ours`, () => {
    assert.equal(parseManifest(JSON.stringify(value)), undefined);
  });
}

test('text that is no JSON is not ours', () => {
  for (const text of ['', '{', formatManifest(MANIFEST).slice(0, 90)]) assert.equal(parseManifest(text), undefined);
});

test('a manifest is read from the store; none, a foreign and a huge one are absent', async () => {
  const storage = new FakeStorage();
  const archive = fakeArchive(storage);
  const key = archive.keys.manifest(ID);
  const read = () => readManifest(archive, ID, AbortSignal.timeout(10_000));
  assert.equal(await read(), undefined);
  storage.plant(key, formatManifest(MANIFEST));
  assert.deepEqual(await read(), MANIFEST);
  storage.plant(key, 'somebody else');
  assert.equal(await read(), undefined);
  storage.plant(key, formatManifest({ ...MANIFEST, instance: 'x'.repeat(5 * 1024 * 1024) }));
  assert.equal(await read(), undefined);
});
