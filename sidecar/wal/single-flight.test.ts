import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SingleFlight } from './single-flight.ts';

const quiet = new AbortController().signal;

test('the second caller joins the work of the first', async () => {
  const flights = new SingleFlight<number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let started = 0;
  const work = () => {
    started += 1;
    return promise;
  };
  const both = Promise.all([flights.run('a', quiet, work), flights.run('a', quiet, work)]);
  resolve(7);
  assert.deepEqual(await both, [7, 7]);
  assert.equal(started, 1);
});

test('another key, and the same key later, are work of their own', async () => {
  const flights = new SingleFlight<string>();
  const said: string[] = [];
  const say = (text: string) => async () => {
    said.push(text);
    return text;
  };
  await Promise.all([flights.run('a', quiet, say('a')), flights.run('b', quiet, say('b'))]);
  await flights.run('a', quiet, say('a again'));
  assert.deepEqual(said, ['a', 'b', 'a again']);
});

test('a failure reaches everybody who joined and is forgotten', async () => {
  const flights = new SingleFlight<string>();
  const fail = async () => {
    throw new Error('no luck');
  };
  const both = await Promise.allSettled([flights.run('a', quiet, fail), flights.run('a', quiet, fail)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(await flights.run('a', quiet, async () => 'fine'), 'fine');
});

test('one caller that gives up does not stop the work of the others', async () => {
  const flights = new SingleFlight<string>();
  const { promise, resolve } = Promise.withResolvers<string>();
  const caller = new AbortController();
  let inner: AbortSignal | undefined;
  const work = (signal: AbortSignal) => {
    inner = signal;
    return promise;
  };
  const first = flights.run('a', caller.signal, work);
  const second = flights.run('a', quiet, work);
  caller.abort(new Error('gone'));
  await assert.rejects(first, /gone/);
  assert.equal(inner?.aborted, false);
  resolve('done');
  assert.equal(await second, 'done');
});

test('the work is stopped and waited for when the last caller gives up', async () => {
  const flights = new SingleFlight<string>();
  const caller = new AbortController();
  let cleanedUp = false;
  const running = flights.run('a', caller.signal, async (signal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await new Promise((resolve) => setImmediate(resolve));
    cleanedUp = true;
    throw signal.reason;
  });
  caller.abort(new Error('gone'));
  await assert.rejects(running, /gone/);
  assert.equal(cleanedUp, true);
});

test('who asks while the work is being stopped starts anew', async () => {
  const flights = new SingleFlight<string>();
  const caller = new AbortController();
  const { promise: cleaned, resolve: clean } = Promise.withResolvers<void>();
  const first = flights.run('a', caller.signal, async (signal) => {
    await cleaned;
    throw signal.reason;
  });
  caller.abort(new Error('gone'));
  const second = flights.run('a', quiet, async () => 'anew');
  assert.equal(await second, 'anew');
  clean();
  await assert.rejects(first, /gone/);
});

test('a caller that has given up already starts nothing', async () => {
  const flights = new SingleFlight<string>();
  await assert.rejects(
    flights.run('a', AbortSignal.abort(new Error('gone')), async () => assert.fail('started')),
    /gone/,
  );
});
