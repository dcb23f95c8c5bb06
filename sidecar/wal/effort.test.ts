import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Effort, levelAt, nextEffort } from './effort.ts';

for (const [now, waiting, next] of [
  ['good', 0, 'good'],
  ['good', 15, 'good'],
  ['good', 16, 'fast'],
  ['good', 5000, 'fast'],
  ['fast', 5000, 'fast'],
  ['fast', 5, 'fast'],
  ['fast', 4, 'good'],
  ['fast', 0, 'good'],
] satisfies [Effort, number, Effort][]) {
  test(`${now} with ${waiting} files waiting becomes ${next}`, () => {
    assert.equal(nextEffort(now, waiting), next);
  });
}

test('only gzip and zstd have a fast level; the good one is the codec’s own', () => {
  const fast = (['gzip', 'zstd', 'bzip2', 'xz', 'lz4', 'snappy', 'none'] as const).map((name) => levelAt('fast', name));
  assert.deepEqual(fast, [1, 1, undefined, undefined, undefined, undefined, undefined]);
  assert.equal(levelAt('good', 'gzip'), undefined);
});
