import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLUSTER, POD, STORE } from '../test/operator/valid-documents.ts';
import { inject } from './inject.ts';
import type { ClusterDocument } from './kube.ts';
import { roleBindingOf, roleOf } from './role.ts';
import { slimCluster, slimStore } from './slim.ts';

test('of a Cluster goes what only PostgreSQL and the operator read', () => {
  const cluster = {
    metadata: { name: 'orders', managedFields: [{}], annotations: { kept: 'yes', [LAST_APPLIED]: '{}' } },
    spec: { instances: 3, plugins: [], postgresql: { parameters: {} } },
    status: { phase: 'any' },
  };
  slimCluster(cluster);
  assert.deepEqual(cluster, { metadata: { name: 'orders', annotations: { kept: 'yes' } }, spec: { plugins: [] } });
});

test('a slim Cluster and a slim store make the same Pod, Role and RoleBinding as whole ones', () => {
  const cluster = structuredClone(CLUSTER) as ClusterDocument;
  const store = structuredClone(STORE);
  slimCluster(cluster);
  slimStore(store);
  const answer = (whole: typeof CLUSTER, stores: (typeof STORE)[]) => [
    inject(POD, whole, new Map(stores.map((one) => [one.metadata.name, one])), { sidecarImage: 'example.test/side:1' }),
    roleOf(whole, stores, '1.0.0'),
    roleBindingOf(whole, '1.0.0'),
  ];
  assert.deepEqual(answer(cluster, [store]), answer(CLUSTER, [STORE]));
});

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
