import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import type { CatalogEntry, DoneEntry } from './catalog.ts';
import { chooseBackup, type Reach } from './choose.ts';
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

/** Every backup is on the way, but those of a timeline given to a test. */
const everywhere = (): Reach => ({ timeline: 2, usable: true });
const notOn =
  (timeline: number) =>
  ({ info }: DoneEntry): Reach =>
    info.timeline === timeline
      ? { timeline: 9, usable: false, reason: `timeline 9 does not come from timeline ${timeline}` }
      : { timeline: 9, usable: true };

const CHOICES: [RecoveryTarget | undefined, string][] = [
  [undefined, 'C'],
  [{}, 'C'],
  [{ backupID: 'A' }, 'A'],
  [{ backupID: 'A', targetTime: '2026-11-22 01:00:00' }, 'A'],
  [{ backupID: 'A', targetLSN: '0/3000000' }, 'A'],
  [{ backupID: 'A', targetName: 'before-upgrade' }, 'A'],
  [{ targetTime: '2026-11-22 02:30:00' }, 'B'],
  [{ targetTime: '2026-11-22T03:30:00+01:00' }, 'B'],
  [{ targetTime: '2026-11-22 02:00:00' }, 'B'],
  [{ targetTime: '2026-11-22 01:59:59.999999' }, 'A'],
  [{ targetTime: '2026-11-22 02:30:00', targetLSN: '0/3000001' }, 'B'],
  [{ targetLSN: '0/5000001' }, 'B'],
  [{ targetLSN: '0/5000000' }, 'A'],
  [{ targetLSN: 'F/0', targetTLI: 'latest' }, 'C'],
  [{ targetName: 'before-upgrade' }, 'C'],
  [{ targetXID: '700', targetTLI: '' }, 'C'],
  [{ targetImmediate: true }, 'C'],
];
for (const [target, id] of CHOICES) {
  test(`${JSON.stringify(target ?? 'no target')} takes ${id}`, () => {
    const chosen = chooseBackup(ENTRIES, target, everywhere);
    assert.deepEqual([chosen.entry.id, chosen.timeline], [id, 2]);
  });
}

test('a backup that the timeline of the target does not come from is passed over', () => {
  assert.equal(chooseBackup(ENTRIES, undefined, notOn(2)).entry.id, 'B');
  assert.equal(chooseBackup(ENTRIES, { targetTime: '2026-11-22 05:00:00' }, notOn(2)).entry.id, 'B');
});

const REFUSALS: [RecoveryTarget, (entry: DoneEntry) => Reach, RegExp][] = [
  [{ backupID: 'Z' }, everywhere, /"Z" does not exist.*A \(timeline 1, .*B \(.*C \(timeline 2, /],
  [{ backupID: 'F' }, everywhere, /status FAILED: out of luck/],
  [{ backupID: 'H' }, everywhere, /no backup\.info/],
  [{ backupID: 'X' }, everywhere, /cannot be read: no sense/],
  [
    { backupID: 'B', targetTime: '2026-11-22 01:30:00' },
    everywhere,
    /B \(.*ended after targetTime.*or leave it out: A \(/,
  ],
  [{ backupID: 'B', targetLSN: '0/4FFFFFF' }, everywhere, /B \(.*ended after targetLSN 0\/4FFFFFF.*: A \(/],
  [{ backupID: 'A', targetTime: '2026-11-22 00:00:00' }, everywhere, /no backup ended before it/],
  [{ backupID: 'C' }, notOn(2), /timeline 9 does not come from timeline 2.*targetTLI to current.*B \(timeline 1/],
  [
    { targetTime: '2026-11-22 00:59:00' },
    everywhere,
    /earliest.*A \(timeline 1, ended 2026-11-22 01:00:00\+00:00, LSN 0\/3000000\)/,
  ],
  [{ targetLSN: '0/3000000' }, everywhere, /earliest.*A \(/],
  [{ targetTime: '2026-11-22 02:30:00' }, notOn(1), /earliest.*C \(.*does not come from: A \(.*B \(/],
  [{ targetTLI: '9' }, () => ({ timeline: 9, usable: false, reason: 'never there' }), /A \(.*never there.*\(1, 2\)/],
];
for (const [target, reach, message] of REFUSALS) {
  test(`${JSON.stringify(target)} is refused with what would fit: ${message.source}`, () => {
    assert.throws(() => chooseBackup(ENTRIES, target, reach), refusal(message));
  });
}

test('an empty catalog says where to look', () => {
  assert.throws(() => chooseBackup([], undefined, everywhere), /no finished base backup.*serverName/);
  assert.throws(
    () => chooseBackup(ENTRIES.slice(3), undefined, everywhere),
    /F has status FAILED.*H has no backup\.info/,
  );
});

for (const target of [{ targetTime: 'noon' }, { targetLSN: 'high' }]) {
  test(`${JSON.stringify(target)} cannot be read`, () => {
    assert.throws(() => chooseBackup(ENTRIES, target, everywhere), InvalidInputError);
  });
}

function refusal(message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof PreconditionError && message.test(error.message);
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
