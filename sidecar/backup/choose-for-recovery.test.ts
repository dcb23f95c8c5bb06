import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError, InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import { FakeStorage, fakeArchive } from '../../test/fake-storage.ts';
import type { CatalogEntry } from './catalog.ts';
import { chooseForRecovery } from './choose-for-recovery.ts';
import { emptyBackupInfo } from './info.ts';
import { parseTimestamp } from './timestamp.ts';

const SIGNAL = AbortSignal.timeout(30_000);

// Timeline 1 was left at 0/6000000 for 2; later somebody recovered 1 to 0/4000000: timeline 3. Nothing leads from 2 to 3.
const ENTRIES: CatalogEntry[] = [
  backup('A', 1, '01:00', '0/3000000'),
  backup('B', 1, '02:00', '0/6000000'),
  backup('LOST', 1, '02:30', '0/6000001'),
  backup('C', 2, '03:00', '0/8000000'),
  backup('D', 3, '04:00', '0/5000000'),
  // Begun on a standby on timeline 1, ended after its promotion.
  backup('SPAN', 1, '02:15', '0/7000000', 2),
];
const HISTORIES: Record<string, string> = {
  '00000002': '1\t0/6000000\tno recovery target specified\n',
  '00000003': '1\t0/4000000\tbefore 2026-11-22 01:30:00\n',
};

const CHOICES: [RecoveryTarget | undefined, string, number][] = [
  [undefined, 'D', 3],
  [{ targetTLI: 'latest' }, 'D', 3],
  [{ targetTime: '2026-11-22 03:30:00' }, 'A', 3],
  [{ targetTLI: '3' }, 'D', 3],
  [{ targetTLI: '3', targetTime: '2026-11-22 03:30:00' }, 'A', 3],
  [{ targetTLI: '2' }, 'C', 2],
  [{ targetTLI: '2', targetTime: '2026-11-22 02:45:00' }, 'SPAN', 2],
  [{ targetTLI: '2', targetTime: '2026-11-22 02:10:00' }, 'B', 2],
  [{ targetTLI: '2', targetLSN: '0/6000001' }, 'B', 2],
  [{ targetTLI: '1' }, 'LOST', 1],
  [{ targetTLI: '1', targetTime: '2026-11-22 02:15:00' }, 'B', 1],
  [{ targetTLI: 'current' }, 'D', 3],
  [{ targetTLI: 'current', targetTime: '2026-11-22 03:30:00' }, 'C', 2],
  [{ backupID: 'C', targetTLI: 'current' }, 'C', 2],
  [{ backupID: 'C', targetTLI: '2' }, 'C', 2],
  [{ backupID: 'A' }, 'A', 3],
  [{ backupID: 'SPAN', targetTLI: 'current' }, 'SPAN', 2],
];
for (const [target, id, timeline] of CHOICES) {
  test(`${JSON.stringify(target ?? 'no target')} takes ${id} and ends on timeline ${timeline}`, async () => {
    assert.deepEqual(await choose(target), [id, timeline]);
  });
}

const REFUSALS: [RecoveryTarget, RegExp][] = [
  [{ targetTLI: '7' }, /timeline 7 is not in the archive.*00000007\.history.*one of 1, 2, 3, to latest/],
  [{ backupID: 'C' }, /timeline 3 does not come from timeline 2.*targetTLI to current.*backupID to A .*D /],
  [{ backupID: 'LOST', targetTLI: '2' }, /timeline 2 left timeline 1 at 0\/6000000, before the backup ended/],
  [{ targetTLI: '3', targetTime: '2026-11-22 00:30:00' }, /earliest.*A \(timeline 1.*does not come from: B .*C /],
];
for (const [target, message] of REFUSALS) {
  test(`${JSON.stringify(target)} is refused with what would fit`, async () => {
    const refused = (error: unknown) => error instanceof PreconditionError && message.test(error.message);
    await assert.rejects(choose(target), refused);
  });
}

for (const targetTLI of ['0x2', '0', 'newest', '4294967296']) {
  test(`targetTLI ${targetTLI} cannot be read`, async () => {
    await assert.rejects(choose({ targetTLI }), InvalidInputError);
  });
}

test('without history files a backup on a later timeline is taken as PostgreSQL takes it: with no parents', async () => {
  const withoutHistories = { histories: {} };
  assert.deepEqual(await choose(undefined, withoutHistories), ['D', 3]);
  assert.deepEqual(await choose({ targetTime: '2026-11-22 03:30:00' }, withoutHistories), ['C', 2]);
});

test('a history that cannot be read matters to those backups only that need it', async () => {
  const torn = { histories: { ...HISTORIES, '00000003': 'torn' } };
  await assert.rejects(choose(undefined, torn), CorruptError);
  assert.deepEqual(await choose({ targetTLI: 'current' }, { ...torn, entries: ENTRIES.slice(0, 5) }), ['D', 3]);
});

async function choose(
  target: RecoveryTarget | undefined,
  { histories = HISTORIES, entries = ENTRIES }: { histories?: Record<string, string>; entries?: CatalogEntry[] } = {},
) {
  const storage = new FakeStorage();
  for (const [name, text] of Object.entries(histories)) storage.plant(`backups/pg/wals/${name}.history`, text);
  const ordered = entries.toSorted((a, b) => (beginOf(a) < beginOf(b) ? -1 : 1));
  const chosen = await chooseForRecovery({ archive: fakeArchive(storage), entries: ordered, target, signal: SIGNAL });
  return [chosen.entry.id, chosen.timeline];
}

function beginOf(entry: CatalogEntry): bigint {
  return ('info' in entry ? entry.info.beginTime : undefined) ?? 0n;
}

function backup(id: string, timeline: number, end: string, endXlog: string, endTimeline = timeline): CatalogEntry {
  const endTime = parseTimestamp(`2026-11-22 ${end}:00`) ?? 0n;
  const endWal = `${String(endTimeline).padStart(8, '0')}0000000000000003`;
  const begin = { beginTime: endTime - 60_000_000n, beginXlog: '0/2000028' };
  return {
    id,
    state: 'done',
    info: { ...emptyBackupInfo(), status: 'DONE', timeline, endTime, endXlog, endWal, ...begin },
  };
}
