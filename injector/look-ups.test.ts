import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, FeedObject } from './feed.ts';
import { liveLookUps } from './look-ups.ts';

test('gives the same list until something changes, and none while the copy is not complete', async () => {
  const clusters = copyOf(['orders']);
  const { clusters: list } = liveLookUps({ clusters, stores: copyOf([]) });
  const first = await list();
  assert.deepEqual(
    first.map(({ metadata }) => metadata.name),
    ['orders'],
  );
  assert.equal(await list(), first);
  clusters.add('billing');
  assert.deepEqual(
    (await list()).map(({ metadata }) => metadata.name),
    ['orders', 'billing'],
  );
  clusters.live = false;
  await assert.rejects(list(), /clusters are not all known/);
});

function copyOf(names: string[]) {
  const objects = names.map((name): FeedObject => ({ metadata: { name } }));
  const listeners: ((change: Change<FeedObject>) => void)[] = [];
  const copy = {
    live: true,
    isLive: () => copy.live,
    all: () => [...objects],
    onChange(listener: (change: Change<FeedObject>) => void) {
      listeners.push(listener);
      return () => {};
    },
    add(name: string) {
      const object = { metadata: { name } };
      objects.push(object);
      for (const listener of listeners) listener({ object, was: undefined, removed: false });
    },
  };
  return copy;
}
