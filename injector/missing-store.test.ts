import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from '../api/kube.ts';
import { PLUGIN_NAME } from '../api/names.ts';
import { missingStoreMessage } from './missing-store.ts';

test('every place that names the missing store is said, and no other', () => {
  const plugin = (barmanObjectName: string) => ({ name: PLUGIN_NAME, parameters: { barmanObjectName } });
  const cluster: Cluster = {
    metadata: { name: 'orders', namespace: 'shop' },
    spec: {
      plugins: [plugin('here')],
      bootstrap: { recovery: { source: 'old' } },
      replica: { source: 'peer' },
      externalClusters: [
        { name: 'old', plugin: plugin('gone') },
        { name: 'peer', plugin: plugin('gone') },
      ],
    },
  };
  assert.equal(
    missingStoreMessage(cluster, 'shop', 'gone'),
    'ObjectStore gone does not exist in namespace shop, and this Cluster waits for it: create it in that namespace, or ' +
      'correct barmanObjectName in spec.externalClusters of the recovery source old and barmanObjectName in ' +
      'spec.externalClusters of the replica source peer',
  );
});
