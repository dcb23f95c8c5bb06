// Which archived WAL no kept backup needs (object-store-layout.md §9.4, §9.5). Pure.
//
// Names are compared by number: timeline, then position. The limit is the begin of the first backup that is kept with
// the WAL from its begin on.
//
// | WAL file                                                              |            |
// |-----------------------------------------------------------------------|------------|
// | timeline history                                                      | kept       |
// | at the limit or after it, on the limit's timeline or a later one      | kept       |
// | before the limit, on an earlier timeline on which a kept backup lies  | kept       |
// | before the limit, between begin and end of a kept backup              | kept       |
// | before the limit, any other: segments, partial ones, backup labels    | goes       |
import { compareSegments, parseWalName, type SegmentPosition, type WalName } from '../../api/wal-name.ts';
import type { BackupInfo } from './info.ts';
import type { WalNeed } from './retention-plan.ts';

/** A backup that is still there, and what it needs. */
export type KeptBackup = { id: string; wal: WalNeed; info: BackupInfo | undefined };

export type WalCleanUpPlan =
  | { clean: false; reason: string }
  | { clean: true; limit: SegmentPosition; ranges: readonly Range[]; timelines: ReadonlySet<number> };

type Range = { begin: SegmentPosition; end: SegmentPosition };

/** The plan for the backups that are kept. Nothing goes when it is not known what one of them needs. */
export function planWalCleanUp(kept: readonly KeptBackup[], windowCovered: boolean): WalCleanUpPlan {
  if (!windowCovered) return { clean: false, reason: 'no finished backup is as old as the recovery window' };
  const begins: SegmentPosition[] = [];
  const ranges: Range[] = [];
  const timelines = new Set<number>();
  for (const { id, wal, info } of kept) {
    if (wal === 'none') continue;
    const begin = positionOf(info?.beginWal);
    const end = positionOf(info?.endWal);
    if (wal === 'unknown' || begin === undefined || (wal === 'own-range' && end === undefined)) {
      return { clean: false, reason: `it is not known which WAL backup ${id} needs` };
    }
    timelines.add(begin.timeline);
    if (wal === 'from-begin') begins.push(begin);
    else if (end !== undefined) ranges.push({ begin, end });
  }
  const [limit] = begins.toSorted(compareSegments);
  if (limit === undefined) return { clean: false, reason: 'no backup needs any' };
  return { clean: true, limit, ranges, timelines };
}

/** Whether a WAL file may go. */
export function isUnneeded(name: WalName, plan: WalCleanUpPlan): boolean {
  if (!plan.clean || name.kind === 'history' || compareSegments(name, plan.limit) >= 0) return false;
  if (name.timeline !== plan.limit.timeline && plan.timelines.has(name.timeline)) return false;
  return !plan.ranges.some(({ begin, end }) => compareSegments(name, begin) >= 0 && compareSegments(name, end) <= 0);
}

/** Whether a folder of `wals/` (16 hex digits) can hold a file that may go; others need not be listed. */
export function mayHoldUnneeded(folder: string, plan: WalCleanUpPlan): boolean {
  const first = parseWalName(`${folder}00000000`);
  return first !== undefined && isUnneeded(first, withoutRanges(plan));
}

/** A range may cover the first segment of a folder and not the next ones. */
function withoutRanges(plan: WalCleanUpPlan): WalCleanUpPlan {
  return plan.clean ? { ...plan, ranges: [] } : plan;
}

function positionOf(name: string | undefined): SegmentPosition | undefined {
  const parsed = parseWalName(name ?? '');
  return parsed?.kind === 'segment' ? parsed : undefined;
}
