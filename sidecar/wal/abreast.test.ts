import assert from 'node:assert/strict';
import { test } from 'node:test';
import { abreast } from './abreast.ts';

const quiet = new AbortController().signal;

test('answers both', async () => {
  assert.deepEqual(
    await abreast(
      quiet,
      async () => 1,
      async () => undefined,
    ),
    [1, undefined],
  );
});

test('the first failure stops the other, which is waited for, and is the one thrown', async () => {
  let stopped = false;
  const slow = async (signal: AbortSignal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    stopped = true;
    throw new Error('stopped');
  };
  const failing = async () => {
    throw new Error('first');
  };
  await assert.rejects(abreast(quiet, slow, failing), /first/);
  assert.equal(stopped, true);
});

test('a caller that gives up stops both', async () => {
  const caller = new AbortController();
  let stopped = 0;
  const slow = async (signal: AbortSignal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    stopped += 1;
    throw signal.reason;
  };
  const both = abreast(caller.signal, slow, slow);
  caller.abort(new Error('gone'));
  await assert.rejects(both, /gone/);
  assert.equal(stopped, 2);
});
