import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster, PluginStanza } from './kube.ts';
import { PLUGIN_NAME } from './names.ts';
import { archiveStanza, referencedStores, resolveParameters } from './parameters.ts';

test('the archive role comes from spec.plugins, recovery and replica source from the external clusters they name', () => {
  const parameters = resolveParameters(
    cluster({
      plugins: [stanza({ barmanObjectName: 'own' })],
      externalClusters: [
        { name: 'origin', plugin: stanza({ barmanObjectName: 'origin-store', serverName: 'old' }) },
        { name: 'source', plugin: stanza({ barmanObjectName: 'source-store' }) },
      ],
      bootstrap: { recovery: { source: 'origin' } },
      replica: { source: 'source' },
    }),
  );
  assert.deepEqual(parameters, {
    archive: { objectStore: 'own', serverName: 'pg' },
    recovery: { objectStore: 'origin-store', serverName: 'old' },
    replicaSource: { objectStore: 'source-store', serverName: 'pg' },
  });
});

test('nothing named is no role at all', () => {
  assert.deepEqual(resolveParameters(cluster({})), {
    archive: undefined,
    recovery: undefined,
    replicaSource: undefined,
  });
});

test('the last enabled entry of our name counts; disabled and foreign ones are ignored', () => {
  const plugins = [
    stanza({ barmanObjectName: 'first' }),
    stanza({ barmanObjectName: 'second' }, { enabled: true }),
    stanza({ barmanObjectName: 'disabled' }, { enabled: false }),
    { name: 'other.plugin', parameters: { barmanObjectName: 'foreign' } },
  ];
  assert.equal(resolveParameters(cluster({ plugins })).archive?.objectStore, 'second');
  assert.equal(archiveStanza(cluster({ plugins })), plugins[1]);
  assert.equal(resolveParameters(cluster({ plugins: plugins.slice(2) })).archive, undefined);
});

test('an empty server name is the name of this Cluster, in every role', () => {
  const parameters = resolveParameters(
    cluster({
      plugins: [stanza({ barmanObjectName: 'own', serverName: '' })],
      externalClusters: [{ name: 'origin', plugin: stanza({ barmanObjectName: 'store', serverName: '' }) }],
      bootstrap: { recovery: { source: 'origin' } },
      replica: { source: 'origin' },
    }),
  );
  assert.equal(parameters.archive?.serverName, 'pg');
  assert.equal(parameters.recovery?.serverName, 'pg');
  assert.equal(parameters.replicaSource?.serverName, 'pg');
});

test('an empty or missing store name is no store', () => {
  for (const parameters of [{ barmanObjectName: '' }, {}, { serverName: 'alone' }]) {
    assert.equal(resolveParameters(cluster({ plugins: [stanza(parameters)] })).archive, undefined);
  }
  assert.equal(resolveParameters(cluster({ plugins: [{ name: PLUGIN_NAME }] })).archive, undefined);
});

test('an external cluster of another plugin, or without one, plays no role', () => {
  for (const external of [
    { name: 'origin', plugin: { name: 'other.plugin', parameters: { barmanObjectName: 'foreign' } } },
    { name: 'origin', connectionParameters: { host: 'db' } },
    { name: 'elsewhere', plugin: stanza({ barmanObjectName: 'store' }) },
  ]) {
    const spec = { externalClusters: [external], bootstrap: { recovery: { source: 'origin' } } };
    assert.equal(resolveParameters(cluster(spec)).recovery, undefined);
  }
});

test('whether an external plugin is enabled, and replica mode is on, is not looked at', () => {
  const plugin = stanza({ barmanObjectName: 'store' }, { enabled: false });
  const parameters = resolveParameters(
    cluster({
      externalClusters: [{ name: 'origin', plugin }],
      bootstrap: { recovery: { source: 'origin' } },
      replica: { source: 'origin', enabled: false },
    }),
  );
  assert.equal(parameters.recovery?.objectStore, 'store');
  assert.equal(parameters.replicaSource?.objectStore, 'store');
});

test('referenced stores are sorted and each named once', () => {
  const reference = (objectStore: string) => ({ objectStore, serverName: 'pg' });
  assert.deepEqual(
    referencedStores({ archive: reference('b'), recovery: reference('a'), replicaSource: reference('b') }),
    ['a', 'b'],
  );
  assert.deepEqual(referencedStores({ archive: undefined, recovery: undefined, replicaSource: undefined }), []);
});

function stanza(parameters: Record<string, string>, rest: Partial<PluginStanza> = {}): PluginStanza {
  return { name: PLUGIN_NAME, parameters, ...rest };
}

function cluster(spec: Cluster['spec']): Cluster {
  return { metadata: { name: 'pg', namespace: 'default' }, spec };
}
