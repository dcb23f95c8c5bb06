import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../api/wire/log.ts';
import { sayWhileWaiting, startProgress } from './progress.ts';

test('a report has what was added, and an estimate where the total is known', (t) => {
  const { log } = listening();
  const known = startProgress(log, 'copy', 1000);
  const unknown = startProgress(log, 'copy', undefined);
  t.after(() => {
    known.stop();
    unknown.stop();
  });
  assert.deepEqual([known.report().sizeBytes, known.report().secondsLeft], [0, undefined], 'no estimate from nothing');
  for (const progress of [known, unknown]) {
    progress.add(200, 1);
    progress.add(50, 2);
  }
  const { files, sizeBytes, totalBytes, bytesPerSecond, secondsLeft } = known.report();
  assert.deepEqual([files, sizeBytes, totalBytes], [3, 250, 1000]);
  assert.ok(bytesPerSecond > 0 && secondsLeft !== undefined && secondsLeft > 0);
  assert.deepEqual([unknown.report().totalBytes, unknown.report().secondsLeft], [undefined, undefined]);
  known.add(5000, 1);
  assert.equal(known.report().secondsLeft, 0, 'more than was told of');
});

test('the log says how far it is at a calm pace, until it is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const { log, lines } = listening();
  const progress = startProgress(log, 'base backup', 4 * 1024 * 1024);
  progress.add(1024 * 1024, 7);
  t.mock.timers.tick(29_999);
  assert.equal(lines.length, 0);
  t.mock.timers.tick(60_001);
  assert.equal(lines.length, 3);
  assert.match(lines[0] ?? '', /"files":7,"mebibytes":1,.*"percent":25,"secondsLeft":\d+.*base backup: going on/);
  progress.stop();
  t.mock.timers.tick(60_000);
  assert.equal(lines.length, 3);
});

test('a wait is said after a moment and then at a calm pace; a short one is not', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
  const { log, lines } = listening();
  assert.equal(await sayWhileWaiting(log, 'waiting for it', Promise.resolve(1)), 1);
  t.mock.timers.tick(120_000);
  assert.equal(lines.length, 0);
  const { promise, resolve } = Promise.withResolvers<number>();
  const waiting = sayWhileWaiting(log, 'waiting for it', promise);
  t.mock.timers.tick(5_000);
  assert.equal(lines.length, 1);
  t.mock.timers.tick(60_000);
  assert.equal(lines.length, 3);
  assert.match(lines[2] ?? '', /waiting for it/);
  resolve(2);
  assert.equal(await waiting, 2);
});

function listening() {
  const lines: string[] = [];
  return { lines, log: createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } }) };
}
