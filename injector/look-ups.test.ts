import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, FeedObject } from './feed.ts';
import { liveLookUps } from './look-ups.ts';

type Sample = FeedObject & {
  metadata: { generation?: number; annotations?: Record<string, string> };
  status?: string;
};

test('gives the same list until a spec changes, with the newest status in it', async () => {
  const copy = copyOf([sample('orders', 1), sample('billing', 1)]);
  const { clusters } = liveLookUps({ clusters: copy, stores: copyOf([]) });
  const first = await clusters();
  assert.deepEqual(namesIn(first), ['orders', 'billing']);
  copy.put({ ...sample('billing', 1), status: 'healthy' });
  assert.equal(await clusters(), first);
  assert.equal((first[1] as Sample | undefined)?.status, 'healthy');
  for (const changed of [
    sample('billing', 2),
    { ...sample('billing', 2), metadata: { ...sample('billing', 2).metadata, annotations: { a: 'b' } } },
    sample('new', 1),
  ]) {
    const before = await clusters();
    copy.put(changed);
    assert.notEqual(await clusters(), before, JSON.stringify(changed));
  }
  assert.deepEqual(namesIn(await clusters()), ['orders', 'billing', 'new']);
  copy.remove('orders');
  assert.deepEqual(namesIn(await clusters()), ['billing', 'new']);
});

test('gives none while the copy is not complete', async () => {
  const copy = copyOf([sample('orders', 1)]);
  copy.live = false;
  await assert.rejects(liveLookUps({ clusters: copy, stores: copy }).clusters(), /clusters are not all known/);
});

function namesIn(list: readonly FeedObject[]): string[] {
  return list.map(({ metadata }) => metadata.name);
}

function sample(name: string, generation: number): Sample {
  return { metadata: { name, namespace: 'shop', generation } };
}

function copyOf(objects: Sample[]) {
  const known = new Map(objects.map((object) => [object.metadata.name, object]));
  const listeners: ((change: Change<Sample>) => void)[] = [];
  const tell = (change: Change<Sample>): void => {
    for (const listener of listeners) listener(change);
  };
  const copy = {
    live: true,
    isLive: () => copy.live,
    all: () => [...known.values()],
    onChange(listener: (change: Change<Sample>) => void) {
      listeners.push(listener);
      return () => {};
    },
    put(object: Sample) {
      const was = known.get(object.metadata.name);
      known.set(object.metadata.name, object);
      tell({ object, was, removed: false });
    },
    remove(name: string) {
      const was = known.get(name) ?? assert.fail();
      known.delete(name);
      tell({ object: was, was, removed: true });
    },
  };
  return copy;
}
