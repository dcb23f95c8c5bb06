import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseWalName } from '../../api/wal-name.ts';
import { plantedInfo, segment } from '../../test/planted-backups.ts';
import type { WalNeed } from './retention-plan.ts';
import { isUnneeded, type KeptBackup, mayHoldUnneeded, planWalCleanUp } from './wal-clean-up-plan.ts';

type Case = { title: string; kept: KeptBackup[]; goes: string[]; stays: string[] };

const CASES: Case[] = [
  {
    title: 'everything before the first backup goes, its own first segment and what follows stays',
    kept: [kept('A', 'from-begin', 1, 5), kept('B', 'from-begin', 1, 9), kept('F', 'none', 1, 1)],
    goes: [segment(1, 4), `${segment(1, 4)}.partial`, `${segment(1, 4)}.00000028.backup`, segment(1, 0)],
    stays: [
      segment(1, 5),
      segment(1, 6),
      `${segment(1, 5)}.00000028.backup`,
      `${segment(1, 5)}.partial`,
      segment(2, 0),
      '00000001.history',
      '00000002.history',
    ],
  },
  {
    title: 'names are compared by number, whatever their case, across logs',
    kept: [kept('A', 'from-begin', 10, 256 * 10 + 3)],
    goes: ['0000000a0000000900000100', '0000000A0000000900000FFF', '00000009FFFFFFFF000000FF'],
    stays: ['0000000a0000000a00000003', '0000000B0000000000000001', '0000000A0000000A000000FF'],
  },
  {
    title: 'a standalone backup keeps the WAL from its begin to its end, both included, and the labels of those',
    kept: [kept('S', 'own-range', 2, 5, 7), kept('A', 'from-begin', 2, 20)],
    goes: [segment(2, 4), segment(2, 8), `${segment(2, 8)}.00000028.backup`, segment(1, 6)],
    stays: [segment(2, 5), segment(2, 6), segment(2, 7), `${segment(2, 7)}.00000028.backup`, segment(2, 20)],
  },
  {
    title: 'an earlier timeline on which a kept backup lies stays whole, one without goes whole, a later one stays',
    kept: [kept('S', 'own-range', 2, 5, 7), kept('A', 'from-begin', 4, 20)],
    goes: [segment(1, 3), segment(3, 900), `${segment(3, 900)}.partial`, segment(4, 19)],
    stays: [segment(2, 1), segment(2, 900), segment(4, 20), segment(5, 1)],
  },
  {
    title: 'the limit is the first of all that need the WAL from their begin on',
    kept: [kept('B', 'from-begin', 2, 3), kept('A', 'from-begin', 1, 5)],
    goes: [segment(1, 4)],
    stays: [segment(1, 5), segment(1, 900), segment(2, 0)],
  },
];
for (const { title, kept: backups, goes, stays } of CASES) {
  test(title, () => {
    const plan = planWalCleanUp(backups, true);
    assert.equal(plan.clean, true);
    const named = (names: string[]) => names.map((name) => [name, isUnneeded(nameOf(name), plan)]);
    assert.deepEqual(named([...goes, ...stays]), [...goes.map((n) => [n, true]), ...stays.map((n) => [n, false])]);
    for (const name of goes) assert.ok(mayHoldUnneeded(name.slice(0, 16), plan), name);
  });
}

test('folders that hold nothing to delete are known by their name', () => {
  const plan = planWalCleanUp([kept('S', 'own-range', 1, 1), kept('A', 'from-begin', 2, 256 * 3)], true);
  const folders = ['0000000100000000', '0000000200000002', '0000000200000003', '0000000300000000', 'foreign', ''];
  assert.deepEqual(
    folders.filter((folder) => mayHoldUnneeded(folder, plan)),
    ['0000000200000002'],
  );
  const covering = planWalCleanUp([kept('S', 'own-range', 1, 0, 2), kept('A', 'from-begin', 1, 300)], true);
  assert.equal(mayHoldUnneeded('0000000100000000', covering), true);
});

const NOTHING: [string, KeptBackup[], RegExp][] = [
  ['no finished backup is there', [kept('F', 'none', 1, 1)], /no backup needs any/],
  ['one is unknown', [kept('A', 'from-begin', 1, 5), kept('X', 'unknown', 1, 1)], /backup X needs/],
  ['one does not say where it begins', [{ id: 'A', wal: 'from-begin', info: undefined }], /backup A needs/],
];
for (const [title, backups, reason] of NOTHING) {
  test(`nothing goes when ${title}`, () => {
    const plan = planWalCleanUp(backups, true);
    assert.match(plan.clean ? '' : plan.reason, reason);
    assert.equal(isUnneeded(nameOf(segment(1, 0)), plan), false);
    assert.equal(mayHoldUnneeded('0000000100000000', plan), false);
  });
}

test('nothing goes until a backup is as old as the window', () => {
  const plan = planWalCleanUp([kept('A', 'from-begin', 1, 5)], false);
  assert.match(plan.clean ? '' : plan.reason, /as old as the recovery window/);
});

function kept(id: string, wal: WalNeed, timeline: number, begin: number, end = begin): KeptBackup {
  return { id, wal, info: plantedInfo({ id, day: 1, timeline, begin, end }) };
}

function nameOf(name: string) {
  const parsed = parseWalName(name);
  assert.ok(parsed, name);
  return parsed;
}
