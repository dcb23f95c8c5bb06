import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import { silentLog } from '../../api/wire/log.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { KEYS } from '../../test/planted-backups.ts';
import { type Keep, readKeeps } from './keep.ts';

const SIGNAL = AbortSignal.timeout(30_000);

const BODIES: [string, Keep | undefined][] = [
  ['standalone', 'standalone'],
  ['full', 'full'],
  ['', undefined],
  ['standalone\n', 'full'],
  ['stAndalone', 'full'],
  ['anything', 'full'],
  ['x'.repeat(100_000), 'full'],
];
for (const [body, keep] of BODIES) {
  test(`an annotation of ${JSON.stringify(body.slice(0, 12))} keeps ${keep ?? 'nothing'}, whatever its key is`, async () => {
    for (const key of [KEYS.keepAnnotation('A'), 'backups//pg/base/A/annotations/keep']) {
      const storage = new FakeStorage();
      storage.plant(key, body);
      const keeps = await readKeeps(fakeArchive(storage), ['A', 'B'], SIGNAL, silentLog());
      assert.deepEqual([...keeps], keep === undefined ? [] : [['A', keep]]);
    }
  });
}

test('of two annotations the one that keeps more counts', async () => {
  for (const [plain, doubled] of [
    ['full', 'standalone'],
    ['standalone', 'full'],
  ] as const) {
    const storage = new FakeStorage();
    storage.plant(KEYS.keepAnnotation('A'), plain);
    storage.plant('backups//pg/base/A/annotations/keep', doubled);
    assert.equal((await readKeeps(fakeArchive(storage), ['A'], SIGNAL, silentLog())).get('A'), 'full');
  }
});

test('more backups than are read at a time are all looked at; an annotation that cannot be read is an error', async () => {
  const storage = new FakeStorage();
  const ids = Array.from({ length: 20 }, (_, index) => `B${index}`);
  for (const id of ids) storage.plant(KEYS.keepAnnotation(id), 'full');
  const archive = fakeArchive(storage);
  assert.equal((await readKeeps(archive, ids, SIGNAL, silentLog())).size, 20);
  storage.fail('get', 'refused');
  await assert.rejects(readKeeps(archive, ids, SIGNAL, silentLog()), StoreError);
});
