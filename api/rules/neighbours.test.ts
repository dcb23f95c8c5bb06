import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PLUGIN_NAME } from '../names.ts';
import { indexClusters, indexStores } from './neighbours.ts';

test('of several Clusters of one name, as in files without a namespace, none is meant', () => {
  const plugins = [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'a' } }];
  const index = indexClusters([
    { metadata: { name: 'postgres' }, spec: { plugins } },
    { metadata: { name: 'postgres' }, spec: { instances: 5 } },
    { metadata: { name: 'postgres', namespace: 'shop' }, spec: { plugins } },
  ]);
  assert.equal(index.get('', 'postgres'), undefined);
  assert.equal(index.get('shop', 'postgres')?.enablesPlugin, true);
});

test('several ObjectStores of one name are there, and nobody knows where', () => {
  const store = (name: string, destinationPath: string) => ({
    metadata: { name },
    spec: { configuration: { destinationPath } },
  });
  const index = indexStores([store('a', 's3://a'), store('a', 's3://b'), store('c', 's3://c')]);
  assert.deepEqual([index.has('', 'a'), index.location('', 'a')], [true, undefined]);
  assert.notEqual(index.location('', 'c'), undefined);
});
