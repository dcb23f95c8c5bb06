import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPace, type PaceClock, paceOf } from './pace.ts';

const SIGNAL = new AbortController().signal;

test('pieces go when those before them have taken their time', async () => {
  const { clock, atMs } = handMadeClock();
  const pace = createPace(1000, clock);
  const went: number[] = [];
  for (const sizeBytes of [500, 100, 2000, 1]) {
    await pace.pass(sizeBytes, SIGNAL);
    went.push(atMs());
  }
  assert.deepEqual(went, [0, 500, 600, 2600]);
});

test('time that was not used gives no burst', async () => {
  const { clock, atMs, advance } = handMadeClock();
  const pace = createPace(1000, clock);
  await pace.pass(100, SIGNAL);
  advance(60_000);
  await pace.pass(100, SIGNAL);
  assert.equal(atMs(), 60_000);
  await pace.pass(100, SIGNAL);
  assert.equal(atMs(), 60_100);
});

test('streams at the same time share one pace, and what waits stops with its signal', async () => {
  const target = { maxBytesPerSecond: 1 };
  const [first, second] = [paceOf(target), paceOf(target)];
  assert.equal(first, second);
  assert.notEqual(paceOf({ maxBytesPerSecond: 1 }), first);
  assert.equal(paceOf({}), undefined);
  await first?.pass(1_000_000, SIGNAL);
  const stop = new AbortController();
  const waiting = second?.pass(1, stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(waiting ?? Promise.resolve(), /enough/);
});

function handMadeClock(): { clock: PaceClock; atMs(): number; advance(ms: number): void } {
  let nowMs = 0;
  const advance = (ms: number) => {
    nowMs += ms;
  };
  return { clock: { nowMs: () => nowMs, sleep: async (ms) => advance(ms) }, atMs: () => nowMs, advance };
}
