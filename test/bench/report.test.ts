// What a measure says against its goal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type Measure } from './report.ts';

const base: Measure = { name: 'backup', value: 12, unit: 's' };

test('no more than so many times the floor: the ratio is of our time to its', () => {
  const goal = { times: { atMost: 1.25 } } as const;
  assert.deepEqual(judge({ ...base, floor: 10, goal }), {
    ...{ measure: 'backup', value: 12, unit: 's', floor: 10, ratio: 1.2, goal: 'ratio <= 1.25', met: true },
  });
  assert.equal(judge({ ...base, floor: 9, goal }).met, false);
});

test('at least so many times as fast: the ratio is of its time to ours, and 1 is no better than even', () => {
  const judged = (floor: number, atLeast: number) =>
    judge({ ...base, floor, peer: true, goal: { times: { atLeast } } });
  assert.deepEqual([judged(96, 8).ratio, judged(96, 8).met, judged(95, 8).met], [8, true, false]);
  assert.deepEqual([judged(13, 1).met, judged(11, 1).met], [true, false]);
});

test('a peer without a goal is compared as a peer, and neither met nor not', () => {
  const { ratio, goal, met } = judge({ ...base, floor: 24, peer: true });
  assert.deepEqual({ ratio, goal, met }, { ratio: 2, goal: null, met: null });
});

test('a figure by itself is compared with its limit, whatever stands beside it', () => {
  const goal = { value: { atMost: 160 } };
  const peak = (value: number, floor?: number) => judge({ name: 'peak', value, unit: 'MiB', floor, goal }).met;
  assert.deepEqual([peak(160), peak(161), peak(161, 200)], [true, false, false]);
});

test('a goal without anything to compare with is neither met nor not', () => {
  assert.equal(judge({ ...base, floor: undefined, goal: { times: { atMost: 1.25 } } }).met, null);
});
