import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvalidInputError } from '../api/errors.ts';
import { parseCluster, parseKind, parseWorkload } from './documents.ts';

const CLUSTER = { metadata: { name: 'orders' }, spec: {} };
const POD = { apiVersion: 'v1', kind: 'Pod', spec: { containers: [{ name: 'postgres' }] } };

test('unknown fields and the nulls of Go pass, and come out as they were', () => {
  const cluster = {
    ...CLUSTER,
    metadata: { name: 'orders', creationTimestamp: null },
    spec: { plugins: null, x: [1] },
  };
  assert.deepEqual(parseCluster(encode(cluster)), cluster);
  const pod = { ...POD, spec: { ...POD.spec, volumes: null, hostUsers: false } };
  assert.deepEqual(parseWorkload(encode(pod)), pod);
});

test('what is not JSON is refused by its size, without quoting it', () => {
  assert.throws(() => parseCluster(Buffer.from('{"password":"geheim"')), complaint('cluster_definition', /20 bytes/));
  assert.throws(() => parseWorkload(Buffer.alloc(0)), complaint('object_definition', /0 bytes/));
});

test('a field of the wrong type is named with its path and what was found', () => {
  const cases: [object, string, RegExp][] = [
    [[], 'cluster_definition', /a list.*must be an object/],
    [{ spec: {} }, 'cluster_definition.metadata', /missing.*must be an object/],
    [
      { metadata: { name: '' }, spec: {} },
      'cluster_definition.metadata.name',
      /found "": must be a name of small letters/,
    ],
    [{ ...CLUSTER, spec: { plugins: {} } }, 'cluster_definition.spec.plugins', /an object.*must be a list/],
    [
      { ...CLUSTER, spec: { plugins: [{ name: 'a' }, { name: 'b', parameters: { x: 1 } }] } },
      'cluster_definition.spec.plugins[1].parameters.x',
      /found 1: must be a string/,
    ],
    [
      { ...CLUSTER, spec: { plugins: [{ name: 'a', enabled: 'no' }] } },
      'cluster_definition.spec.plugins[0].enabled',
      /found "no": must be true or false/,
    ],
  ];
  for (const [document, field, message] of cases) {
    assert.throws(() => parseCluster(encode(document)), complaint(field, message));
  }
});

test('anything but a v1 Pod or a batch/v1 Job is refused', () => {
  for (const kind of ['Deployment', 'Job', undefined]) {
    assert.throws(() => parseWorkload(encode({ ...POD, kind })), complaint('object_definition', /v1 Pod or a batch/));
  }
  assert.throws(
    () => parseWorkload(encode({ apiVersion: 'batch/v1', kind: 'Job', spec: { template: {} } })),
    complaint('object_definition.spec.template.spec', /missing/),
  );
});

test('a document tells its kind, or is refused', () => {
  assert.equal(parseKind('resource_definition', encode({ kind: 'Backup' })), 'Backup');
  assert.throws(
    () => parseKind('resource_definition', encode({})),
    complaint('kind of resource_definition', /missing/),
  );
});

test('whatever the bytes, the answer is a document or an InvalidInputError', () => {
  const bytes = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(bytes, (input) => {
      for (const parse of [parseCluster, parseWorkload]) {
        try {
          parse(input);
        } catch (error) {
          assert.ok(error instanceof InvalidInputError, String(error));
        }
      }
    }),
    { numRuns: 500 },
  );
});

function complaint(field: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof InvalidInputError, String(error));
    assert.equal(error.field, field);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /geheim/);
    return true;
  };
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
