import assert from 'node:assert/strict';
import { test } from 'node:test';
import { misreadSchedule } from './cron.ts';

for (const [schedule, timesADay, first] of [
  ['0 2 * * *', 24, ['00:02:00', '01:02:00']],
  ['30 3 1 * *', 1, ['01:03:30']],
  ['*/15 * * * *', 5760, ['00:00:00', '00:00:15']],
  ['0 0 * * ?', 24, ['00:00:00', '01:00:00']],
  ['0,30 1-2 3/12 * *', 8, ['03:01:00', '03:01:30']],
] as const) {
  test(`${schedule} runs ${timesADay} times a day`, () => {
    assert.deepEqual(misreadSchedule(schedule), { timesADay, first, meant: `0 ${schedule}` });
  });
}

test('the Sunday that the operator does not know by 7 is meant as 0', () => {
  assert.equal(misreadSchedule('0 3 * * 7')?.meant, '0 0 3 * * 0');
});

for (const schedule of [
  '0 0 2 * * *',
  '@daily',
  '',
  '* * *',
  '60 0 * * *',
  '0 2-1 * * *',
  '0 */0 * * *',
  'a b c d e',
]) {
  test(`${JSON.stringify(schedule)} is none of five fields that the operator takes`, () => {
    assert.equal(misreadSchedule(schedule), undefined);
  });
}
