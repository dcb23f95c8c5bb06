import assert from 'node:assert/strict';
import { test } from 'node:test';
import { november, type PlantedBackup, plantedInfo } from '../../test/planted-backups.ts';
import { isRestorable } from './catalog.ts';
import type { Keep } from './keep.ts';
import { type FolderFacts, planRetention, type RetentionCandidate } from './retention-plan.ts';
import { recoveryWindowOf } from './retention-policy.ts';

/** Verdicts in one line each: `id keep <wal>` or `id go`, with a word of the reason. */
type Case = { title: string; policy?: string; candidates: RetentionCandidate[]; verdicts: [string, RegExp][] };

// Now is the 20th at noon; a policy of 5 days reaches back to the 15th at noon.
const NOW = november(20, '12:00:00');
const YOUNG: FolderFacts = {
  changedAt: november(20, '11:00:00'),
  startedAt: undefined,
  deleting: false,
  isBackup: true,
};
const OLD: FolderFacts = { ...YOUNG, changedAt: november(19, '11:00:00') };

const CASES: Case[] = [
  { title: 'an empty catalog', candidates: [], verdicts: [] },
  {
    title: 'the window keeps what ended in it and the newest from before it, and no more',
    candidates: [done('A', 10), done('B', 14), done('C', 16), done('D', 19)],
    verdicts: [
      ['A go', /B is a newer backup/],
      ['B keep from-begin', /window begins with it/],
      ['C keep from-begin', /inside/],
      ['D keep from-begin', /inside/],
    ],
  },
  {
    title: 'a backup that ended exactly where the window begins is inside it',
    candidates: [done('A', 10), done('B', 15, { info: { endTime: november(15, '12:00:00') } })],
    verdicts: [
      ['A keep from-begin', /window begins with it/],
      ['B keep from-begin', /inside/],
    ],
  },
  {
    title: 'the newest finished backup stays, however old it is',
    policy: '1d',
    candidates: [done('A', 1), done('B', 2)],
    verdicts: [
      ['A go', /newer/],
      ['B keep from-begin', /window begins with it/],
    ],
  },
  {
    title: 'order is by end, not by id',
    candidates: [done('Z', 10), done('A', 14), done('M', 19)],
    verdicts: [
      ['Z go', /A is a newer backup/],
      ['A keep from-begin', /begins/],
      ['M keep from-begin', /inside/],
    ],
  },
  {
    title: 'keep annotations hold what would go, full with all WAL from it on, standalone with its own',
    candidates: [done('A', 8, { keep: 'full' }), done('B', 9, { keep: 'standalone' }), done('C', 10), done('D', 14)],
    verdicts: [
      ['A keep from-begin', /full/],
      ['B keep own-range', /standalone/],
      ['C go', /newer/],
      ['D keep from-begin', /begins/],
    ],
  },
  {
    title: 'a standalone one may be what the window begins with, and then needs all WAL from it on',
    candidates: [done('A', 10), done('B', 14, { keep: 'standalone' }), done('C', 19, { keep: 'standalone' })],
    verdicts: [
      ['A go', /B is a newer/],
      ['B keep from-begin', /begins/],
      ['C keep from-begin', /inside/],
    ],
  },
  {
    title: 'failed backups older than what the window needs go; a kept old one holds none',
    candidates: [
      done('A', 5, { keep: 'standalone' }),
      failed('F1', 6),
      failed('F2', 13),
      done('B', 14),
      failed('F3', 14, { beginTime: november(14, '01:00:00') }),
      failed('F4', 17),
    ],
    verdicts: [
      ['A keep own-range', /standalone/],
      ['F1 go', /failed/],
      ['F2 go', /failed/],
      ['B keep from-begin', /begins/],
      ['F3 keep none', /failed/],
      ['F4 keep none', /failed/],
    ],
  },
  {
    title: 'a failed backup that does not say when it began is as old as its objects',
    candidates: [
      failed('F1', 6, { beginTime: undefined }, { ...YOUNG, changedAt: november(6) }),
      failed('F2', 6, { beginTime: undefined }),
      done('B', 14),
    ],
    verdicts: [
      ['F1 go', /failed/],
      ['F2 keep none', /failed/],
      ['B keep from-begin', /begins/],
    ],
  },
  {
    title: 'without a finished backup nothing goes but what is dead',
    candidates: [failed('F', 1), half('H1', OLD), half('H2', YOUNG)],
    verdicts: [
      ['F keep none', /failed/],
      ['H1 go', /nothing has come since 2026-11-19 11:00/],
      ['H2 keep none', /may be running/],
    ],
  },
  {
    title: 'a folder without backup.info goes after a day, at once when its deletion had begun, never when foreign',
    candidates: [
      half('H1', OLD),
      half('H2', { ...YOUNG, deleting: true }),
      half('H3', { ...OLD, isBackup: false }),
      half('H4', { ...YOUNG, changedAt: undefined }),
      done('B', 14),
    ],
    verdicts: [
      ['H1 go', /nothing has come/],
      ['H2 go', /deletion had begun/],
      ['H3 keep none', /no backup by its name/],
      ['H4 keep none', /may be running/],
      ['B keep from-begin', /begins/],
    ],
  },
  {
    title: 'a run that began before the backups of the window makes unknown which WAL is needed',
    candidates: [
      half('H1', { ...YOUNG, startedAt: november(13) }),
      half('H2', { ...YOUNG, startedAt: november(15) }),
      done('B', 14),
    ],
    verdicts: [
      ['H1 keep unknown', /may be running/],
      ['H2 keep none', /may be running/],
      ['B keep from-begin', /begins/],
    ],
  },
  {
    title: 'incremental backups and snapshots stay with the WAL between their ends, and so does what they build on',
    candidates: [
      done('A', 5),
      other('I', 6, { parentBackupId: 'A' }),
      other('S', 7, { snapshotsInfo: [] }),
      done('B', 10),
      done('C', 14),
    ],
    verdicts: [
      ['A keep own-range', /builds on it/],
      ['I keep own-range', /incremental/],
      ['S keep own-range', /snapshot/],
      ['B go', /newer/],
      ['C keep from-begin', /begins/],
    ],
  },
  {
    title: 'what barman has not finished stays',
    candidates: [
      other('W', 5, { status: 'WAITING_FOR_WALS' }),
      other('Y', 6, { status: 'SYNCING', endWal: undefined }),
      done('C', 14),
    ],
    verdicts: [
      ['W keep own-range', /WAITING_FOR_WALS/],
      ['Y keep none', /SYNCING/],
      ['C keep from-begin', /begins/],
    ],
  },
  {
    title: 'what cannot be read stays and holds nobody',
    candidates: [broken('X'), other('E', 6, { endTime: undefined, endWal: undefined }), done('A', 10), done('B', 14)],
    verdicts: [
      ['X keep none', /cannot be read: no sense/],
      ['E keep none', /does not say/],
      ['A go', /newer/],
      ['B keep from-begin', /begins/],
    ],
  },
  {
    title: 'an annotation on what cannot be read makes its WAL unknown',
    candidates: [broken('X', 'standalone'), done('B', 14)],
    verdicts: [
      ['X keep unknown', /cannot be read/],
      ['B keep from-begin', /begins/],
    ],
  },
];

for (const { title, policy = '5d', candidates, verdicts } of CASES) {
  test(title, () => {
    const plan = planRetention({ candidates, windowMicros: recoveryWindowOf(policy), now: NOW });
    const { verdicts: found, windowCovered } = plan;
    assert.deepEqual(
      found.map((verdict) => `${verdict.id} ${verdict.keep ? `keep ${verdict.wal}` : 'go'}`),
      verdicts.map(([line]) => line),
    );
    assert.equal(
      windowCovered,
      verdicts.some(([, reason]) => /begins/.test(reason.source)),
    );
    for (const [index, [, reason]] of verdicts.entries()) assert.match(found[index]?.reason ?? '', reason);
  });
}

type More = { info?: PlantedBackup['info']; keep?: Keep };

function done(id: string, day: number, { info = {}, keep }: More = {}): RetentionCandidate {
  const complete = plantedInfo({ id, day, begin: day, info });
  return { entry: { id, state: isRestorable(complete) ? 'done' : 'other', info: complete }, keep, folder: undefined };
}

function other(id: string, day: number, info: PlantedBackup['info']): RetentionCandidate {
  return done(id, day, info === undefined ? {} : { info });
}

function failed(id: string, day: number, info: PlantedBackup['info'] = {}, folder = YOUNG): RetentionCandidate {
  return { ...done(id, day, { info: { status: 'FAILED', endTime: undefined, endWal: undefined, ...info } }), folder };
}

function half(id: string, folder: FolderFacts): RetentionCandidate {
  return { entry: { id, state: 'half' }, keep: undefined, folder };
}

function broken(id: string, keep?: Keep): RetentionCandidate {
  return { entry: { id, state: 'broken', problem: 'no sense' }, keep, folder: undefined };
}
