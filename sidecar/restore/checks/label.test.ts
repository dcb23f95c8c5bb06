import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../../api/errors.ts';
import { emptyBackupInfo } from '../../backup/info.ts';
import { assertOwnLabel } from './label.ts';

const ID = '20261122T073041';
const INFO = { ...emptyBackupInfo(), timeline: 1, beginXlog: '0/2000028' };
const LABEL =
  'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\n' +
  `BACKUP FROM: primary\nSTART TIME: 2026-11-22 07:30:41 UTC\nLABEL: Barman backup cloud ${ID}\nSTART TIMELINE: 1\n`;

test('the own label is taken, also with a name that others gave it, and where backup.info says less', () => {
  check(LABEL);
  check(LABEL.replace(/LABEL: .*/, 'LABEL: nightly'));
  check(LABEL.replace(/START TIMELINE.*\n/, ''));
  assertOwnLabel(LABEL, { id: ID, state: 'done', info: emptyBackupInfo() });
});

const FOREIGN: [string, string, RegExp][] = [
  [
    'start',
    LABEL.replace('0/2000028', '0/3000028'),
    /another backup.*START WAL LOCATION is 0\/3000028, backup.info says 0\/2000028/,
  ],
  ['timeline', LABEL.replace('TIMELINE: 1', 'TIMELINE: 2'), /another backup.*START TIMELINE is 2/],
  ['id', LABEL.replace(ID, '20261121T073041'), /another backup.*LABEL is 20261121T073041/],
  ['nothing in it', 'LABEL: x\n', /has no START WAL LOCATION/],
];
for (const [what, label, message] of FOREIGN) {
  test(`a label with another ${what} is refused and explained`, () => {
    assert.throws(
      () => check(label),
      (error) => error instanceof CorruptError && message.test(error.message),
    );
  });
}

function check(label: string): void {
  assertOwnLabel(label, { id: ID, state: 'done', info: INFO });
}
