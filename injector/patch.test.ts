import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyPatch } from 'jsonpatch';
import { jsonPatch } from './patch.ts';

test('equal documents make an empty patch', () => {
  assert.deepEqual(jsonPatch({ a: [1, { b: null }] }, { a: [1, { b: null }] }), []);
});

test('a list that is missing is made whole, one that is there is appended to', () => {
  assert.deepEqual(jsonPatch({ a: {}, b: [{ name: 'x' }] }, { a: { list: [1] }, b: [{ name: 'x' }, { name: 'y' }] }), [
    { op: 'add', path: '/a/list', value: [1] },
    { op: 'add', path: '/b/-', value: { name: 'y' } },
  ]);
});

test('taking one element away leaves the others untouched', () => {
  const before = [{ name: 'a', x: 1 }, { name: 'b' }, { name: 'c', y: { z: 1 } }];
  assert.deepEqual(jsonPatch({ before }, { before: [before[0], before[2], { name: 'd' }] }), [
    { op: 'remove', path: '/before/1' },
    { op: 'add', path: '/before/-', value: { name: 'd' } },
  ]);
});

test('a changed element is changed in place', () => {
  const after = [{ name: 'a', list: ['1', '2'] }, { name: 'b' }];
  assert.deepEqual(jsonPatch([{ name: 'a', list: ['1'] }, { name: 'b' }], after), [
    { op: 'add', path: '/0/list/-', value: '2' },
  ]);
});

test('a list of fifty thousand elements does not exhaust the stack', () => {
  const before = Array.from({ length: 50_000 }, (_, index) => ({ name: `volume-${index}` }));
  assert.equal(jsonPatch({ before }, { before: [...before.slice(1), { name: 'new' }] }).length, 2);
});

test('whatever the documents, the patch turns the first into the second', () => {
  const names = fc.constantFrom('a', 'b', 'c', '~/');
  const { node } = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(null, true, 0, 1, 'a', 'b'),
      fc.array(tie('node'), { maxLength: 4 }),
      fc.dictionary(names, tie('node'), { maxKeys: 3 }),
      fc.record({ name: names, value: tie('node') }),
    ),
  }));
  fc.assert(
    fc.property(node, node, (first, second) => {
      const before = { root: first };
      const after = { root: second };
      const patched = structuredClone(before);
      applyPatch(patched, structuredClone(jsonPatch(before, after)));
      assert.equal(sortedText(patched), sortedText(after));
    }),
    { numRuns: 1000 },
  );
});

function sortedText(value: unknown): string {
  return JSON.stringify(value, (_key, item) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
