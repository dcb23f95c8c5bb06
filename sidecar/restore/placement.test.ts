// The table of placement.ts, row by row.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError, InvalidInputError } from '../../api/errors.ts';
import { emptyBackupInfo } from '../backup/info.ts';
import { placeTablespaces } from './placement.ts';

test('an option counts before the Cluster, the Cluster before the place that it had', () => {
  assert.deepEqual(place('/old/tb', { own: ['tb'], relocations: { tb: '/new/tb' } }), ['/new/tb', false]);
  assert.deepEqual(place('/old/tb', { own: ['tb'] }), ['/tablespaces/tb/data', false]);
  assert.deepEqual(place('/old/tb', { own: ['other'] }), ['/old/tb', false]);
  assert.deepEqual(place('/old/tb', {}), ['/old/tb', false]);
});

test('a tablespace in place stays below PGDATA, and never leaves it', () => {
  assert.deepEqual(place('pg_tblspc/16384', {}), ['/pgdata/pg_tblspc/16384', true]);
  assert.throws(() => place('../elsewhere', {}), CorruptError);
});

test('an option that fits nothing is refused', () => {
  assert.throws(() => place('/old/tb', { relocations: { other: '/x' } }), /no such tablespace, it has tb/);
  assert.throws(() => place('/old/tb', { relocations: { tb: 'relative' } }), InvalidInputError);
});

function place(location: string, given: { own?: string[]; relocations?: Record<string, string> }) {
  const { own, relocations = {} } = given;
  const spec = own === undefined ? {} : { tablespaces: own.map((name) => ({ name })) };
  const [placement] = placeTablespaces({
    info: { ...emptyBackupInfo(), tablespaces: [{ name: 'tb', oid: 16384, location }] },
    cluster: { metadata: { name: 'c' }, spec },
    relocations,
    ...{ pgdata: '/pgdata', tablespacesFolder: '/tablespaces' },
  });
  assert.equal(placement?.oid, 16384);
  return [placement?.path, placement?.inPlace];
}
