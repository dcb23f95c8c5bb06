// `spec.retentionPolicy` of an ObjectStore: how far back a recovery must be possible (object-store-layout.md §9.1). Pure.
import { InvalidInputError } from '../../api/errors.ts';
import type { Micros } from './timestamp.ts';

const DAYS = { d: 1n, w: 7n, m: 31n };
const DAY_MICROS = 86_400_000_000n;

/** The length of the recovery window, in microseconds; a month has 31 days. Throws InvalidInputError. */
export function recoveryWindowOf(policy: string): Micros {
  const match = /^([1-9][0-9]*)([dwm])$/.exec(policy);
  const [, count = '', unit] = match ?? [];
  if (unit !== 'd' && unit !== 'w' && unit !== 'm') {
    throw new InvalidInputError(
      'spec.retentionPolicy',
      policy,
      'write a number and d, w or m, for example 30d; leave it out to keep everything',
    );
  }
  return BigInt(count) * DAYS[unit] * DAY_MICROS;
}
