import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectStore } from '../api/objectstore.ts';
import { cacheReads, MissingObjectError } from './reads.ts';

test('an object is read again only after ten seconds', async () => {
  const source = countingSource();
  let nowMs = 0;
  const reads = cacheReads(source, { now: () => nowMs });
  await reads.objectStore('shop', 'a');
  nowMs = 10_000;
  await reads.objectStore('shop', 'a');
  assert.deepEqual(source.asked, ['shop/a']);
  nowMs = 10_001;
  await reads.objectStore('shop', 'a');
  assert.deepEqual(source.asked, ['shop/a', 'shop/a']);
});

test('reads at the same time are one, of other names and namespaces their own', async () => {
  const source = countingSource();
  const reads = cacheReads(source);
  await Promise.all([reads.objectStore('shop', 'a'), reads.objectStore('shop', 'a'), reads.objectStore('other', 'a')]);
  assert.deepEqual(source.asked, ['shop/a', 'other/a']);
});

test('a failure is not kept: an object made a moment ago is found', async () => {
  const source = countingSource();
  const reads = cacheReads(source);
  source.missing = true;
  await assert.rejects(reads.objectStore('shop', 'a'), MissingObjectError);
  source.missing = false;
  assert.equal((await reads.objectStore('shop', 'a')).metadata.name, 'a');
});

function countingSource() {
  const source = {
    asked: [] as string[],
    missing: false,
    async objectStore(namespace: string, name: string): Promise<ObjectStore> {
      source.asked.push(`${namespace}/${name}`);
      if (source.missing) throw new MissingObjectError('ObjectStore', namespace, name);
      return { metadata: { name, namespace }, spec: { configuration: { destinationPath: 's3://b/' } } };
    },
    cluster: () => Promise.reject(new Error('not asked here')),
  };
  return source;
}
