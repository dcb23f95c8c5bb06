import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '../../api/errors.ts';
import { decodeBackup, decodeCluster } from './documents.ts';

const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));

test('reads documents of any group with fields that we do not know', () => {
  const cluster = {
    apiVersion: 'fork.example/v1',
    metadata: { name: 'pg', creationTimestamp: null },
    spec: { new: 1 },
  };
  assert.deepEqual(decodeCluster(bytes(cluster)), cluster);
  const backup = { kind: 'Backup', metadata: { name: 'b' }, spec: { cluster: { name: 'pg' } }, status: {} };
  assert.deepEqual(decodeBackup(bytes(backup)), backup);
});

const REFUSED: [string, Buffer, RegExp][] = [
  ['nothing', Buffer.alloc(0), /^cluster_definition: found "0 bytes that are not JSON"/],
  [
    'text that is not JSON',
    Buffer.from('{"a": hush}'),
    /^cluster_definition: found "11 bytes that are not JSON.*: send/,
  ],
  ['null', bytes(null), /^cluster_definition: found "null": send a JSON object/],
  ['a list', bytes([]), /found "a list"/],
  ['a string', bytes('pg'), /found "a string"/],
  ['an object without metadata', bytes({ spec: {} }), /^cluster_definition: metadata\.name: missing/],
  ['an empty name', bytes({ metadata: { name: '' }, spec: {} }), /metadata\.name: found ""/],
  ['a name that is a number', bytes({ metadata: { name: 7 }, spec: {} }), /metadata\.name: found 7/],
  ['an object without spec', bytes({ metadata: { name: 'pg' } }), /^cluster_definition: spec: missing/],
  ['a spec that is a list', bytes({ metadata: { name: 'pg' }, spec: [] }), /spec: found "a list"/],
];

for (const [title, document, expected] of REFUSED) {
  test(`refuses ${title}, naming the field and not showing the document`, () => {
    assert.throws(
      () => decodeCluster(document),
      (error) => {
        assert.ok(error instanceof InvalidInputError);
        assert.match(error.message, expected);
        assert.doesNotMatch(error.message, /hush/);
        return true;
      },
    );
  });
}
