import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { KEYS, plantBackup, plantedInfo, plantHistory, plantWal, segment, walKey } from '../../test/planted-backups.ts';
import type { ObjectInfo, StoreDeleteFailure } from '../store/store.ts';
import { noRefusals } from './delete-objects.ts';
import { cleanUpWal } from './wal-clean-up.ts';
import { planWalCleanUp } from './wal-clean-up-plan.ts';

const SIGNAL = AbortSignal.timeout(300_000);
const SEGMENTS = process.env.CELLAR_ALL ? 1_000_000 : 50_000;

test('deletes what the plan lets go and lists no folder that holds nothing to delete', async () => {
  const storage = new FakeStorage();
  plantBackup(storage, { id: 'A', day: 1, begin: 600 });
  plantWal(storage, 1, 0, 800);
  plantHistory(storage, 2);
  storage.plant(`${KEYS.wals}0000000100000000/${segment(1, 3)}.gz.tmp`, '');
  const refusals = noRefusals();
  const count = await cleanUpWal(fakeArchive(storage), planFor(600), { refusals, signal: SIGNAL });
  assert.equal(count, 600);
  assert.ok(storage.objects.has(walKey(segment(1, 600))) && storage.objects.has(`${KEYS.wals}00000002.history.gz`));
  assert.ok(storage.objects.has(`${KEYS.wals}0000000100000000/${segment(1, 3)}.gz.tmp`));
  assert.deepEqual(
    storage.requests.filter((request) => request.startsWith('list ')),
    ['', '0000000100000000/', '0000000100000001/', '0000000100000002/'].map((folder) => `list ${KEYS.wals}${folder}`),
  );
});

test(`holds a page and a batch, not ${SEGMENTS} names`, async () => {
  const storage = new EndlessWal(SEGMENTS);
  const refusals = noRefusals();
  const count = await cleanUpWal(fakeArchive(storage), planFor(SEGMENTS), { refusals, signal: SIGNAL });
  assert.deepEqual([count, storage.longestBatch], [SEGMENTS, 1000]);
  assert.ok(storage.mostListedAhead <= 1000, `${storage.mostListedAhead} names were listed and not yet deleted`);
});

test('what the store keeps is counted, with the first ones named, and not asked for twice', async () => {
  const storage = new EndlessWal(3000, true);
  const refusals = noRefusals();
  assert.equal(await cleanUpWal(fakeArchive(storage), planFor(3000), { refusals, signal: SIGNAL }), 0);
  assert.deepEqual([refusals.count, refusals.examples.length, storage.deletes], [3000, 20, 3]);
});

test('a store in trouble is an error; without a plan nothing is asked', async () => {
  const storage = new FakeStorage();
  plantWal(storage, 1, 0, 10);
  storage.fail('delete', 'throttled');
  const options = { refusals: noRefusals(), signal: SIGNAL };
  await assert.rejects(cleanUpWal(fakeArchive(storage), planFor(10), options), StoreError);
  storage.requests.length = 0;
  assert.equal(await cleanUpWal(fakeArchive(storage), planWalCleanUp([], false), options), 0);
  assert.deepEqual(storage.requests, []);
});

function planFor(begin: number) {
  return planWalCleanUp([{ id: 'A', wal: 'from-begin', info: plantedInfo({ id: 'A', day: 1, begin }) }], true);
}

/** Names segments without holding any. */
class EndlessWal extends FakeStorage {
  longestBatch = 0;
  mostListedAhead = 0;
  deletes = 0;
  readonly #segments: number;
  readonly #refuses: boolean;
  #ahead = 0;

  constructor(segments: number, refuses = false) {
    super();
    this.#segments = segments;
    this.#refuses = refuses;
  }

  override async *listFolders(prefix: string): AsyncIterable<string> {
    for (let number = 0; number < this.#segments; number += 256) yield `${prefix}${segment(1, number).slice(0, 16)}/`;
  }

  override async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const first = Number.parseInt(prefix.slice(-9, -1), 16) * 256;
    for (let number = first; number < Math.min(first + 256, this.#segments); number++) {
      this.mostListedAhead = Math.max(this.mostListedAhead, ++this.#ahead);
      yield { key: walKey(segment(1, number)), sizeBytes: 0, etag: '', lastModified: new Date(0) };
    }
  }

  override async delete(keys: readonly string[]): Promise<StoreDeleteFailure[]> {
    this.deletes += 1;
    this.#ahead -= keys.length;
    this.longestBatch = Math.max(this.longestBatch, keys.length);
    return this.#refuses ? keys.map((key) => ({ key, reason: 'locked' })) : [];
  }
}
