import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError } from '../../api/errors.ts';
import { recoveryWindowOf } from './retention-policy.ts';

const DAY = 86_400_000_000n;

test('days, weeks and months of 31 days', () => {
  assert.deepEqual(['1d', '30d', '2w', '3m'].map(recoveryWindowOf), [DAY, 30n * DAY, 14n * DAY, 93n * DAY]);
});

for (const policy of ['', '0d', '07d', '30', 'd', '30 d', '30D', '1y', '1d ', 'x30d', '-1d']) {
  test(`${JSON.stringify(policy)} is no retention policy`, () => {
    assert.throws(() => recoveryWindowOf(policy), InvalidInputError);
  });
}
