import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Slots } from './slots.ts';

const QUIET = new AbortController().signal;

test('no more run at a time than there are slots, and they come in order, also after a failure', async () => {
  const slots = new Slots(2);
  const started: number[] = [];
  let atOnce = 0;
  let most = 0;
  const work = (number: number) =>
    slots.run(QUIET, async () => {
      started.push(number);
      atOnce += 1;
      most = Math.max(most, atOnce);
      await setImmediate();
      atOnce -= 1;
      if (number === 1) throw new Error('one');
    });
  const settled = await Promise.allSettled([0, 1, 2, 3, 4].map(work));
  assert.deepEqual(started, [0, 1, 2, 3, 4]);
  assert.equal(most, 2);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
});

test('who gives up while it waits does not work, and the next one does', async () => {
  const slots = new Slots(1);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const caller = new AbortController();
  const first = slots.run(QUIET, () => held);
  let worked = false;
  const second = slots.run(caller.signal, async () => {
    worked = true;
  });
  const third = slots.run(QUIET, async () => 'third');
  caller.abort(new Error('gone'));
  release();
  await first;
  await assert.rejects(second, /gone/);
  assert.equal(await third, 'third');
  assert.equal(worked, false);
});
