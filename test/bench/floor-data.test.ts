// How floors cut objects and share work.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abreast, piecesOf } from './floor-data.ts';

const MIB = 1024 * 1024;

test('objects are cut into ranges that hold every byte once', () => {
  const objects = [
    { key: 'large', sizeBytes: 33 * MIB },
    { key: 'even', sizeBytes: 16 * MIB },
    { key: 'empty', sizeBytes: 0 },
  ];
  const cut = (key: string) =>
    piecesOf(objects).flatMap((piece) => (piece.key === key ? [[piece.from, piece.to]] : []));
  assert.deepEqual(cut('large'), [
    [0, 16 * MIB - 1],
    [16 * MIB, 32 * MIB - 1],
    [32 * MIB, 33 * MIB - 1],
  ]);
  assert.deepEqual([cut('even'), cut('empty')], [[[0, 16 * MIB - 1]], []]);
});

test('every item is worked on once, and no more at a time than was said', async () => {
  const done: number[] = [];
  let [busy, most] = [0, 0];
  await abreast([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    busy += 1;
    most = Math.max(most, busy);
    await new Promise(setImmediate);
    done.push(item);
    busy -= 1;
  });
  assert.deepEqual([done.sort(), most], [[1, 2, 3, 4, 5, 6, 7], 3]);
});
