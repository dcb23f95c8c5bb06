import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError, PreconditionError, StoreError, type StoreFailure } from '../../api/errors.ts';
import { createLog } from '../../api/wire/log.ts';
import { DEFAULT_PATIENCE, persist } from './persist.ts';

test('transient trouble is waited out up to the limit, then thrown as it came', async () => {
  for (const failure of ['broken', 'throttled'] as const) {
    const { run, clock } = stage();
    await assert.rejects(
      run(() => Promise.reject(storeError(failure)), false),
      StoreError,
    );
    assert.ok(clock.ms > 50_000 && clock.ms <= 60_000, `gave up after ${clock.ms} ms`);
  }
});

test('trouble that patience does not cure is thrown at once', async () => {
  for (const error of [storeError('refused'), storeError('misconfigured'), new CorruptError('x'), new Error('disk')]) {
    const { run, clock } = stage();
    await assert.rejects(
      run(() => Promise.reject(error), false),
      error,
    );
    assert.equal(clock.ms, 0);
  }
});

test('in a recovery every trouble is waited out for as long as it lasts', async () => {
  for (const error of [
    storeError('broken'),
    storeError('refused'),
    new PreconditionError('x'),
    new CorruptError('x'),
  ]) {
    const { run, clock } = stage();
    const answer = await run(async () => {
      if (clock.ms < 180_000) throw error;
      return 'there';
    }, true);
    assert.equal(answer, 'there');
  }
});

test('a wait says so at once and then each minute, not at each try', async () => {
  const { run, clock, lines } = stage();
  await run(async () => {
    if (clock.ms < 180_000) throw storeError('broken');
  }, true);
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? '', /restore of X waits: .*injected/);
});

test('a caller that leaves ends the wait with its own reason', async () => {
  const caller = new AbortController();
  const { run } = stage(caller.signal, () => caller.abort(new Error('gone')));
  await assert.rejects(
    run(() => Promise.reject(storeError('broken')), true),
    /gone/,
  );
});

test('the real clock can be interrupted with the reason of the caller', async () => {
  const caller = new AbortController();
  const work = async () => {
    setImmediate(() => caller.abort(new Error('gone')));
    throw storeError('broken');
  };
  const log = createLog({ level: 'error', destination: { write: () => undefined } });
  const options = { inRecovery: true, signal: caller.signal, patience: DEFAULT_PATIENCE, log, what: 'it' };
  await assert.rejects(persist(work, options), /gone/);
});

function stage(signal: AbortSignal = new AbortController().signal, onSleep: () => void = () => undefined) {
  const clock = { ms: 0 };
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line: string) => void lines.push(line) } });
  const patience = {
    ...DEFAULT_PATIENCE,
    now: () => clock.ms,
    sleep: async (ms: number) => {
      clock.ms += ms;
      assert.ok(clock.ms < 3_600_000, 'still waiting after an hour');
      onSleep();
      signal.throwIfAborted();
    },
  };
  const run = <T>(work: () => Promise<T>, inRecovery: boolean) =>
    persist(work, { inRecovery, signal, patience, log, what: 'restore of X' });
  return { run, clock, lines };
}

function storeError(failure: StoreFailure): StoreError {
  return new StoreError({ failure, provider: 's3', operation: 'get', key: 'k', reason: 'injected' });
}
