import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POSTGRES_MAJORS } from '../../postgres.ts';
import { CODECS, LAYOUTS, PAIRS, planCells, TARGETS, titleOf } from './cells.ts';

const EVERYTHING = { majors: POSTGRES_MAJORS, oldBarman: true };

test('the whole matrix has every pair, major, codec and layout once, but what barman 3.4 cannot write', () => {
  const { cells, uncovered } = planCells(EVERYTHING, { all: true });
  const perPair = POSTGRES_MAJORS.length * CODECS.length * LAYOUTS.length;
  assert.equal(cells.length + uncovered.length, PAIRS.length * perPair);
  assert.equal(new Set(cells.map(({ target: _, ...cell }) => JSON.stringify(cell))).size, cells.length);
  assert.equal(uncovered.length, POSTGRES_MAJORS.length * LAYOUTS.length);
  for (const { cell, why } of uncovered) {
    assert.deepEqual([cell.writer, cell.codec], ['barman 3.4', 'lz4']);
    assert.match(why, /3\.18/);
  }
});

test('the short form has every codec, layout and target of each direction, and the oldest and newest PostgreSQL', () => {
  const { cells } = planCells(EVERYTHING, { all: false });
  for (const { writer, reader } of PAIRS.slice(0, 2)) {
    const some = cells.filter((cell) => cell.writer === writer && cell.reader === reader);
    assert.equal(some.length, CODECS.length);
    assert.deepEqual(new Set(some.map(({ codec }) => codec)), new Set(CODECS));
    assert.deepEqual(new Set(some.map(({ layout }) => layout)), new Set(LAYOUTS));
    assert.deepEqual(new Set(some.map(({ target }) => target)), new Set(TARGETS));
    assert.deepEqual(new Set(some.map(({ major }) => major)), new Set([14, 18]));
  }
  assert.equal(cells.filter(({ writer }) => writer === 'barman 3.4').length, CODECS.length - 1);
});

test('what is missing here makes cells that are not covered, with the reason', () => {
  const { cells, uncovered } = planCells({ majors: [14], oldBarman: false }, { all: false });
  assert.ok(cells.every(({ writer, major }) => writer !== 'barman 3.4' && major === 14));
  const reasons = uncovered.map(({ cell, why }) => `${titleOf(cell)}: ${why}`).join('\n');
  assert.match(reasons, /PostgreSQL 18, .*: no PostgreSQL 18 from npm here/);
  assert.match(reasons, /barman 3\.4 wrote.*: no barman 3\.4 here: .*CELLAR_BARMAN_34/);
  assert.match(reasons, /lz4.*barman 3\.4 writes no lz4/);
});
