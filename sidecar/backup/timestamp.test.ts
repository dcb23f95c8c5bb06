import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTimestamp, parseTimestamp } from './timestamp.ts';

const SAME_MOMENT = [
  '2026-11-22 07:30:41.440219+00:00',
  '2026-11-22 07:30:41.440219',
  '2026-11-22T07:30:41.440219Z',
  '2026-11-22 08:30:41.440219+01',
  '2026-11-22T02:00:41.440219-0530',
  '2026-11-22 07:30:41.440219 UTC',
];
for (const text of SAME_MOMENT) {
  test(`reads ${text} to the microsecond`, () => {
    assert.equal(formatTimestamp(parseTimestamp(text) ?? 0n), '2026-11-22 07:30:41.440219+00:00');
  });
}

test('leaves the fraction out when it is zero, and reads ctime', () => {
  assert.equal(formatTimestamp(parseTimestamp('Sun Nov 22 07:30:41 2026') ?? 0n), '2026-11-22 07:30:41+00:00');
});

test('keeps microseconds that a Date would lose, before 1970 too', () => {
  assert.equal(formatTimestamp(1n), '1970-01-01 00:00:00.000001+00:00');
  assert.equal(formatTimestamp(-1n), '1969-12-31 23:59:59.999999+00:00');
});

for (const text of [
  '',
  'yesterday',
  '2026-02-30 00:00:00',
  '2026-11-22 25:00:00',
  '2026-11-22 07:30:41 CET',
  '2026-11-22',
]) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseTimestamp(text), undefined);
  });
}
