// What is told is in the fixtures (test/fixtures/admission); here is what is not told, and when.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findBackupProblems, findScheduledBackupProblems } from './backup-problems.ts';
import { PLUGIN_NAME } from './names.ts';
import type { Problem } from './problems.ts';
import { indexClusters, indexStores } from './rules/neighbours.ts';

const CLUSTER = {
  metadata: { name: 'orders', namespace: 'shop' },
  spec: { plugins: [{ name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio-store' } }] },
};
const STORE = {
  metadata: { name: 'minio-store', namespace: 'shop' },
  spec: { configuration: { destinationPath: 's3://b' } },
};

function around(clusters: unknown[], stores: unknown[] = [STORE], strictReferences = false) {
  return { clusters: indexClusters(clusters), stores: indexStores(stores), complete: true, strictReferences };
}

function backup(spec: object = {}) {
  const configuration = { name: PLUGIN_NAME };
  return {
    metadata: { name: 'now', namespace: 'shop' },
    spec: { cluster: { name: 'orders' }, method: 'plugin', pluginConfiguration: configuration, ...spec },
  };
}

function ids(problems: Problem[]): string[] {
  return problems.map(({ id, severity }) => `${id} ${severity}`);
}

for (const [title, object] of [
  ['a Backup of the usage page', backup()],
  ['a Backup by another plugin', backup({ pluginConfiguration: { name: 'other.example', parameters: { a: 'b' } } })],
  ['a Backup of the in-tree archiver', backup({ method: 'barmanObjectStore', pluginConfiguration: undefined })],
  ['a snapshot', backup({ method: 'volumeSnapshot', online: true, pluginConfiguration: undefined })],
  ['nulls, which the API server drops', backup({ online: null, onlineConfiguration: null })],
] as const) {
  test(`says nothing about ${title}`, () => {
    assert.deepEqual(findBackupProblems(object, { operation: 'CREATE', around: around([CLUSTER]) }), []);
    assert.deepEqual(findBackupProblems(object, { operation: 'CREATE' }), [], 'nor when nothing else is known');
  });
}

test('an external cluster with the plugin enables nothing', () => {
  const restored = {
    ...CLUSTER,
    spec: { externalClusters: [{ name: 'old', plugin: CLUSTER.spec.plugins[0] }] },
  };
  const problems = findBackupProblems(backup(), { operation: 'CREATE', around: around([restored]) });
  assert.deepEqual(ids(problems), ['BK3 error']);
});

test('a schedule that comes in one change with the plugin of its Cluster is refused under strictReferences only', () => {
  const before = { ...CLUSTER, spec: { backup: { barmanObjectStore: {} } } };
  const old = backup({ method: undefined, pluginConfiguration: undefined });
  const told = (strict: boolean) =>
    ids(findScheduledBackupProblems(backup(), { operation: 'UPDATE', old, around: around([before], [], strict) }));
  assert.deepEqual([told(false), told(true)], [['BK3 warning'], ['BK3 error']]);
});

test('the store that the Cluster has may be named, without effect', () => {
  const named = backup({ pluginConfiguration: { name: PLUGIN_NAME, parameters: { barmanObjectName: 'minio-store' } } });
  assert.deepEqual(ids(findBackupProblems(named, { operation: 'CREATE', around: around([CLUSTER]) })), ['BK5 warning']);
  assert.deepEqual(ids(findBackupProblems(named, { operation: 'CREATE' })), ['F1 warning']);
});

test('a patch of a Cluster in another file does not hide its plugin', () => {
  const patch = { metadata: CLUSTER.metadata, spec: { instances: 5 } };
  const files = { ...around([CLUSTER, patch]), complete: false };
  assert.deepEqual(ids(findBackupProblems(backup(), { operation: 'CREATE', around: files })), []);
});

test('a stored schedule with the wrong method may be suspended, a new one is refused', () => {
  const wrong = backup({ method: undefined, schedule: '@daily' });
  const suspended = { ...wrong, spec: { ...wrong.spec, suspend: true } };
  assert.deepEqual(ids(findScheduledBackupProblems(wrong, { operation: 'CREATE' })), ['BK2 error']);
  assert.deepEqual(ids(findScheduledBackupProblems(suspended, { operation: 'UPDATE', old: wrong })), ['BK2 warning']);
});

test('a Backup whose Cluster is not there is refused under strictReferences only', () => {
  const told = (strict: boolean) =>
    ids(findBackupProblems(backup(), { operation: 'CREATE', around: around([], [], strict) }));
  assert.deepEqual([told(false), told(true)], [['BK3 warning'], ['BK3 error']]);
});

test('takes any JSON value, never throws, and changes nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (object, old) => {
      const before = JSON.stringify([object, old]);
      findBackupProblems(object, { operation: 'UPDATE', old, around: around([object], [old]) });
      findScheduledBackupProblems({ spec: object }, { operation: 'UPDATE', old: { spec: old } });
      assert.equal(JSON.stringify([object, old]), before);
    }),
  );
});
