import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import type { CatalogEntry } from './catalog.ts';
import { chooseBackup } from './choose.ts';
import { type BackupStatus, emptyBackupInfo } from './info.ts';
import { parseTimestamp } from './timestamp.ts';

const ENTRIES: CatalogEntry[] = [
  backup('A', 1, '01:00', '0/3000000'),
  backup('B', 1, '02:00', '0/5000000'),
  backup('C', 2, '03:00', '0/7000000'),
  backup('F', 2, '04:00', '0/9000000', 'FAILED'),
  { id: 'H', state: 'half' },
  { id: 'X', state: 'broken', problem: 'no sense' },
];

const CHOICES: [RecoveryTarget | undefined, string][] = [
  [undefined, 'C'],
  [{}, 'C'],
  [{ backupID: 'A', targetTime: '2026-11-22 00:00:00' }, 'A'],
  [{ targetTime: '2026-11-22 02:30:00' }, 'B'],
  [{ targetTime: '2026-11-22T03:30:00+01:00' }, 'B'],
  [{ targetTime: '2026-11-22 02:00:00' }, 'B'],
  [{ targetTime: '2026-11-22 01:59:59.999999' }, 'A'],
  [{ targetTime: '2026-11-22 05:00:00', targetTLI: '1' }, 'B'],
  [{ targetLSN: '0/5000001' }, 'B'],
  [{ targetLSN: '0/5000000' }, 'A'],
  [{ targetLSN: 'F/0', targetTLI: 'latest' }, 'C'],
  [{ targetTLI: '1' }, 'B'],
  [{ targetName: 'before-upgrade' }, 'C'],
  [{ targetXID: '700', targetTLI: '' }, 'C'],
  [{ targetImmediate: true }, 'C'],
];
for (const [target, id] of CHOICES) {
  test(`${JSON.stringify(target ?? 'no target')} takes ${id}`, () =>
    assert.equal(chooseBackup(ENTRIES, target).id, id));
}

const REFUSALS: [RecoveryTarget, RegExp][] = [
  [{ backupID: 'Z' }, /"Z" does not exist.*A, B, C/],
  [{ backupID: 'F' }, /status FAILED: out of luck/],
  [{ backupID: 'H' }, /no backup\.info/],
  [{ backupID: 'X' }, /cannot be read: no sense/],
  [{ targetTime: '2026-11-22 00:59:00' }, /earliest.*A: 2026-11-22 01:00:00\+00:00, LSN 0\/3000000/],
  [{ targetLSN: '0/3000000' }, /earliest.*A/],
  [{ targetTLI: '7' }, /timeline 7.*1, 2/],
];
for (const [target, message] of REFUSALS) {
  test(`${JSON.stringify(target)} is refused with what would fit`, () => {
    const refused = (error: unknown) => error instanceof PreconditionError && message.test(error.message);
    assert.throws(() => chooseBackup(ENTRIES, target), refused);
  });
}

test('an empty catalog says where to look', () => {
  assert.throws(() => chooseBackup([], undefined), /no finished base backup.*serverName/);
  assert.throws(() => chooseBackup(ENTRIES.slice(3), undefined), /F has status FAILED.*H has no backup\.info/);
});

for (const target of [{ targetTime: 'noon' }, { targetLSN: 'high' }, { targetTLI: '0x2' }]) {
  test(`${JSON.stringify(target)} cannot be read`, () => {
    assert.throws(() => chooseBackup(ENTRIES, target), InvalidInputError);
  });
}

function backup(
  id: string,
  timeline: number,
  end: string,
  endXlog: string,
  status: BackupStatus = 'DONE',
): CatalogEntry {
  const endTime = parseTimestamp(`2026-11-22 ${end}:00`) ?? 0n;
  const error = status === 'FAILED' ? 'out of luck' : undefined;
  const info = { ...emptyBackupInfo(), status, timeline, beginTime: endTime - 60_000_000n, endTime, endXlog, error };
  return { id, state: status === 'DONE' ? 'done' : 'other', info };
}
