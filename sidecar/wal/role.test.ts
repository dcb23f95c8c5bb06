import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster, PluginStanza } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { isReplicaCluster, storeToRead, storeToWrite } from './role.ts';

const own = stanza('own-store');
const origin = { name: 'origin', plugin: stanza('origin-store', { serverName: 'origin-server' }) };
const source = { name: 'source', plugin: stanza('source-store') };
const everything: Partial<Cluster['spec']> = {
  plugins: [own],
  externalClusters: [origin, source],
  bootstrap: { recovery: { source: 'origin' } },
  replica: { source: 'source', enabled: true },
};

test('the current primary reads the replica source when one is named', () => {
  const plan = storeToRead(cluster(everything, { currentPrimary: 'pg-1' }), 'pg-1');
  assert.deepEqual(plan, {
    role: 'replicaSource',
    reference: { objectStore: 'source-store', serverName: 'pg' },
    inRecovery: false,
  });
});

test('a designated primary under promotion still reads the replica source', () => {
  const replica = { source: 'source', enabled: false, promotionToken: 'token' };
  const plan = storeToRead(cluster({ ...everything, replica }, { currentPrimary: 'pg-1' }), 'pg-1');
  assert.equal(plan.role, 'replicaSource');
});

test('the current primary reads its own archive when no replica source is ours', () => {
  const foreign = { name: 'source', plugin: { ...stanza('source-store'), name: 'other.plugin' } };
  const plan = storeToRead(cluster({ ...everything, externalClusters: [foreign] }, { currentPrimary: 'pg-1' }), 'pg-1');
  assert.deepEqual(plan, {
    role: 'archive',
    reference: { objectStore: 'own-store', serverName: 'pg' },
    inRecovery: false,
  });
});

test('a standby reads its own archive, also in a replica cluster', () => {
  const plan = storeToRead(cluster(everything, { currentPrimary: 'pg-1' }), 'pg-2');
  assert.equal(plan.reference?.objectStore, 'own-store');
});

test('a standby without an own store reads nothing rather than the source', () => {
  const plan = storeToRead(cluster({ ...everything, plugins: [] }, { currentPrimary: 'pg-1' }), 'pg-2');
  assert.deepEqual(plan, { role: 'archive', reference: undefined, inRecovery: false });
});

test('without a current primary the recovery source is read, under its own server name', () => {
  for (const status of [{}, { currentPrimary: '' }]) {
    assert.deepEqual(storeToRead(cluster(everything, status), 'pg-1-full-recovery'), {
      role: 'recovery',
      reference: { objectStore: 'origin-store', serverName: 'origin-server' },
      inRecovery: true,
    });
  }
});

test('a replica cluster made by pg_basebackup reads the replica source before a primary is known', () => {
  const { bootstrap: _, ...spec } = everything;
  const plan = storeToRead(cluster(spec), 'pg-1');
  assert.deepEqual(plan, {
    role: 'replicaSource',
    reference: { objectStore: 'source-store', serverName: 'pg' },
    inRecovery: true,
  });
});

test('without a current primary, a recovery source or replica mode nothing is read', () => {
  const { bootstrap: _, ...spec } = everything;
  const plan = storeToRead(cluster({ ...spec, replica: { source: 'source', enabled: false } }), 'pg-1');
  assert.deepEqual(plan, { role: 'recovery', reference: undefined, inRecovery: true });
});

test('the declared archiver writes to its own store', () => {
  const declared = { ...stanza('own-store', { serverName: 'own-server' }), isWALArchiver: true };
  assert.deepEqual(storeToWrite(cluster({ ...everything, plugins: [declared] })), {
    reference: { objectStore: 'own-store', serverName: 'own-server' },
    declared: true,
  });
});

test('a plugin that is not declared the archiver writes all the same', () => {
  assert.deepEqual(storeToWrite(cluster({ plugins: [{ ...own, isWALArchiver: false }] })), {
    reference: { objectStore: 'own-store', serverName: 'pg' },
    declared: false,
  });
});

test('an entry without a store writes nowhere', () => {
  assert.equal(storeToWrite(cluster({ plugins: [{ name: PLUGIN_NAME }] })).reference, undefined);
});

test('no enabled entry writes nowhere, even when sources are named', () => {
  assert.equal(storeToWrite(cluster({ ...everything, plugins: [{ ...own, enabled: false }] })).reference, undefined);
});

test('replica mode: the switch decides', () => {
  assert.equal(isReplicaCluster(cluster({ replica: { enabled: false, primary: 'elsewhere' } })), false);
  assert.equal(isReplicaCluster(cluster({ replica: { enabled: true, primary: 'pg' } })), true);
});

test('replica mode: without a switch, being another than the primary decides', () => {
  assert.equal(isReplicaCluster(cluster({ replica: { primary: 'elsewhere' } })), true);
  assert.equal(isReplicaCluster(cluster({ replica: { primary: 'pg' } })), false);
  assert.equal(isReplicaCluster(cluster({ replica: { self: 'site-a', primary: 'site-a' } })), false);
});

test('replica mode: neither is no replica', () => {
  assert.equal(isReplicaCluster(cluster({ replica: { source: 'source' } })), false);
  assert.equal(isReplicaCluster(cluster({})), false);
});

function stanza(objectStore: string, parameters: Record<string, string> = {}): PluginStanza {
  return { name: PLUGIN_NAME, parameters: { barmanObjectName: objectStore, ...parameters } };
}

function cluster(spec: Partial<Cluster['spec']>, status: Cluster['status'] = {}): Cluster {
  return { metadata: { name: 'pg', namespace: 'default' }, spec, status };
}
