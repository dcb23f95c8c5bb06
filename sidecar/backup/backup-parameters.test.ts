import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import { unusedParameters } from './backup-parameters.ts';

const ARCHIVE = fakeArchive(new FakeStorage());
const NOTHING = { elsewhere: undefined, unknown: [] };

test('no parameters, and those of the Cluster itself, ask for nothing in vain', () => {
  assert.deepEqual(unusedParameters({}, ARCHIVE), NOTHING);
  assert.deepEqual(unusedParameters({ barmanObjectName: 'minio', serverName: 'pg' }, ARCHIVE), NOTHING);
  assert.deepEqual(unusedParameters({ barmanObjectName: 'minio', serverName: '' }, ARCHIVE), NOTHING);
});

test('another store or another server is answered with the place that it really goes to', () => {
  assert.equal(
    unusedParameters({ barmanObjectName: 'cold' }, ARCHIVE).elsewhere,
    `the Backup asks for ObjectStore cold, but a Backup cannot choose its store: it goes to its Cluster's, ${ARCHIVE.location}`,
  );
  assert.match(unusedParameters({ serverName: 'pg-v2' }, ARCHIVE).elsewhere ?? '', /ObjectStore minio, server pg-v2/);
});

test('unknown parameters are named with what does it instead, without their values', () => {
  const { unknown } = unusedParameters({ waitForArchive: 'true', compression: 'xz', colour: 'secret' }, ARCHIVE);
  assert.deepEqual(unknown, [
    'colour: a Backup has no such parameter',
    'compression: spec.configuration.data.compression of the ObjectStore sets it',
    'waitForArchive: a backup always waits for the WAL that it needs',
  ]);
});
