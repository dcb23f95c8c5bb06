// Chooses the base backup for a recovery by the catalog and the timeline histories in the archive.
//
// | targetTLI         | the recovery ends on                                        |
// |-------------------|-------------------------------------------------------------|
// | absent, `latest`  | the newest timeline, as PostgreSQL finds it from the backup |
// | a number          | that one                                                    |
// | `current`         | the backup's own                                            |
//
// A backup fits when that is its own timeline, or when the history of that timeline was still on the backup's when the
// backup ended. Everything else PostgreSQL would refuse after the fetch.
import { InvalidInputError, PreconditionError } from '../../api/errors.ts';
import type { RecoveryTarget } from '../../api/kube.ts';
import { formatLsn, historyName, parseLsn, parseWalName } from '../../api/wal-name.ts';
import type { Archive } from '../store/archive.ts';
import type { CatalogEntry, DoneEntry } from './catalog.ts';
import { chooseBackup, type Reach } from './choose.ts';
import type { BackupInfo } from './info.ts';
import { type ArchivedTimelines, type Lineage, latestFrom, leftAt, listTimelines, readLineage } from './timelines.ts';

const FIELD = 'spec.bootstrap.recovery.recoveryTarget.targetTLI';

/**
 * The backup to restore and the timeline that the recovery ends on (undefined: the backup does not say its own).
 * `entries` are in the catalog's order. Throws PreconditionError that names what would fit, InvalidInputError for a
 * target that cannot be read, CorruptError for a timeline history that cannot.
 */
export async function chooseForRecovery(options: {
  archive: Archive;
  entries: readonly CatalogEntry[];
  target: RecoveryTarget | undefined;
  signal: AbortSignal;
}): Promise<{ entry: DoneEntry; timeline: number | undefined }> {
  const { archive, entries, target, signal } = options;
  const wanted = readTargetTimeline(target?.targetTLI);
  const archived = await listTimelines(archive, signal);
  if (typeof wanted === 'number' && wanted !== 1 && !archived.histories.includes(wanted)) {
    throw unknownTimeline(wanted, archived, archive);
  }
  const goalOf = (info: BackupInfo) => goal(info, wanted, archived);
  const lineages = new Map<number, Lineage>();
  for (const entry of entries) {
    if (entry.state !== 'done') continue;
    const timeline = goalOf(entry.info);
    if (timeline === undefined || lineages.has(timeline) || isOn(entry.info, timeline)) continue;
    const lineage = archived.histories.includes(timeline) ? await readLineage(archive, timeline, signal) : undefined;
    lineages.set(timeline, lineage ?? { timeline, ancestors: [] });
  }
  return chooseBackup(entries, target, ({ info }) => {
    const timeline = goalOf(info);
    const lineage = timeline === undefined ? undefined : lineages.get(timeline);
    return lineage === undefined || isOn(info, lineage.timeline) ? { timeline, usable: true } : reachOf(info, lineage);
  });
}

/** Whether a backup began and ended on one timeline: no history matters then. */
function isOn(info: BackupInfo, timeline: number): boolean {
  return info.timeline === timeline && endTimeline(info) === timeline;
}

function readTargetTimeline(text: string | undefined): number | 'latest' | 'current' {
  if (!text || text === 'latest') return 'latest';
  if (text === 'current') return 'current';
  if (/^[1-9]\d*$/.test(text) && Number(text) <= 0xffffffff) return Number(text);
  throw new InvalidInputError(FIELD, text, 'write a timeline in decimal, latest, or current');
}

function goal(
  info: BackupInfo,
  wanted: number | 'latest' | 'current',
  archived: ArchivedTimelines,
): number | undefined {
  if (typeof wanted === 'number') return wanted;
  const end = endTimeline(info);
  return end === undefined || wanted === 'current' ? end : latestFrom(end, archived);
}

/** A backup of a standby may begin on one timeline and end on the next; each end must lie on the lineage. */
function reachOf(info: BackupInfo, lineage: Lineage): Reach {
  const ends = [
    { timeline: info.timeline, lsn: info.beginXlog },
    { timeline: endTimeline(info), lsn: info.endXlog },
  ];
  for (const { timeline, lsn } of ends) {
    if (timeline === undefined || lsn === undefined) continue;
    const left = leftAt(lineage, timeline);
    if (left === 'foreign') {
      const reason = `timeline ${lineage.timeline} does not come from timeline ${timeline}`;
      return { timeline: lineage.timeline, usable: false, reason };
    }
    if (left === undefined || parseLsn(lsn) <= left) continue;
    const reason = `timeline ${lineage.timeline} left timeline ${timeline} at ${formatLsn(left)}, before the backup ended`;
    return { timeline: lineage.timeline, usable: false, reason };
  }
  return { timeline: lineage.timeline, usable: true };
}

function endTimeline({ timeline, endWal }: BackupInfo): number | undefined {
  return parseWalName(endWal ?? '')?.timeline ?? timeline;
}

function unknownTimeline(timeline: number, archived: ArchivedTimelines, archive: Archive): PreconditionError {
  const known = [...new Set([1, ...archived.histories])].join(', ');
  return new PreconditionError(
    `timeline ${timeline} is not in the archive ${archive.location}: it has no ${historyName(timeline)}`,
    { hint: `set ${FIELD} to one of ${known}, to latest, or to current` },
  );
}
