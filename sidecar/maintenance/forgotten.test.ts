import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backup, Cluster } from '../../api/kube.ts';
import { PLUGIN_NAME } from '../../api/names.ts';
import { isForgotten, placeOf, recordOf } from './forgotten.ts';

const CLUSTER: Cluster = { metadata: { name: 'pg', uid: 'c-1' }, spec: {} };
const HERE = placeOf('s3://bucket/backups', 'pg');
const GO_METADATA = { clusterUID: 'c-1', pluginName: PLUGIN_NAME };

function backup(status: Backup['status'] = {}, changes: Partial<Backup> = {}): Backup {
  return {
    metadata: { name: 'b', uid: 'u-1' },
    spec: { cluster: { name: 'pg' } },
    status: { phase: 'completed', method: 'plugin', backupId: 'A', pluginMetadata: GO_METADATA, ...status },
    ...changes,
  };
}

test('a completed backup of this Cluster by this plugin is a record, with its place where it says one', () => {
  const record = { name: 'b', uid: 'u-1', backupId: 'A' };
  assert.deepEqual(recordOf(backup(), CLUSTER), { ...record, place: undefined });
  const pluginMetadata = { ...GO_METADATA, destination: 's3://bucket/backups', serverName: 'pg' };
  assert.deepEqual(recordOf(backup({ pluginMetadata }), CLUSTER), { ...record, place: HERE });
});

const STRANGERS: [string, Backup][] = [
  ['of another Cluster', backup({}, { spec: { cluster: { name: 'other' } } })],
  ['of an earlier Cluster of the name', backup({ pluginMetadata: { ...GO_METADATA, clusterUID: 'c-0' } })],
  ['without the Cluster’s uid', backup({ pluginMetadata: { pluginName: PLUGIN_NAME } })],
  ['of another plugin', backup({ pluginMetadata: { ...GO_METADATA, pluginName: 'other' } })],
  ['by another method', backup({ method: 'volumeSnapshot' })],
  ['that runs', backup({ phase: 'started' })],
  ['that failed', backup({ phase: 'failed' })],
  ['without an id', backup({ backupId: '' })],
  [
    'that is being deleted',
    backup({}, { metadata: { name: 'b', uid: 'u', deletionTimestamp: '2026-11-25T00:00:00Z' } }),
  ],
];
for (const [title, stranger] of STRANGERS) {
  test(`a Backup ${title} is none of ours`, () => assert.equal(recordOf(stranger, CLUSTER), undefined));
}

test('nothing is ours while the Cluster has no uid', () => {
  const nobody = backup({ pluginMetadata: { ...GO_METADATA, clusterUID: '' } });
  assert.equal(recordOf(nobody, { metadata: { name: 'pg', uid: '' }, spec: {} }), undefined);
});

const ELSEWHERE = placeOf('s3://moved/backups', 'pg');
const ROWS: [string, { there: boolean; place: string | undefined; seen: boolean }, boolean][] = [
  ['data that is there', { there: true, place: HERE, seen: true }, false],
  ['data that is there, recorded elsewhere', { there: true, place: ELSEWHERE, seen: false }, false],
  ['data that is gone from the recorded place', { there: false, place: HERE, seen: false }, true],
  ['data in another store', { there: false, place: ELSEWHERE, seen: true }, false],
  [
    'data under another server name',
    { there: false, place: placeOf('s3://bucket/backups', 'old'), seen: false },
    false,
  ],
  ['no recorded place, seen here before', { there: false, place: undefined, seen: true }, true],
  ['no recorded place, never seen here', { there: false, place: undefined, seen: false }, false],
];
for (const [title, { there, place, seen }, forgotten] of ROWS) {
  test(`${title}: the object ${forgotten ? 'goes' : 'stays'}`, () => {
    const known = { place: HERE, ids: new Set(there ? ['A'] : []), seen: new Set(seen ? ['A'] : []) };
    assert.equal(isForgotten({ name: 'b', uid: 'u', backupId: 'A', place }, known), forgotten);
  });
}
