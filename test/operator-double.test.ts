// What the operator's double refuses where the real operator would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyStrictly } from './operator-double.ts';

const POD = { metadata: { name: 'p' }, spec: { volumes: [{ name: 'a' }] } };

test('a patch is applied to a copy', () => {
  const patched = applyStrictly(POD, [{ op: 'add', path: '/spec/volumes/-', value: { name: 'b' } }]);
  assert.deepEqual(patched.spec.volumes, [{ name: 'a' }, { name: 'b' }]);
  assert.equal(POD.spec.volumes.length, 1);
});

test('adding below a missing parent is an error', () => {
  const patch = { op: 'add' as const, path: '/spec/initContainers/-', value: {} };
  assert.throws(() => applyStrictly(POD, [patch]), /add \/spec\/initContainers\/-: MissingError/);
});

test('removing what is not there is an error', () => {
  assert.throws(() => applyStrictly(POD, [{ op: 'remove', path: '/spec/hostname' }]), /MissingError/);
});

test('an index behind the end of an array is an error', () => {
  const patch = { op: 'add' as const, path: '/spec/volumes/2', value: {} };
  assert.throws(() => applyStrictly(POD, [patch]), /no such place in an array of 1/);
  assert.throws(() => applyStrictly(POD, [{ op: 'replace', path: '/spec/volumes/1', value: {} }]), /no such place/);
});
