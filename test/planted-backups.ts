// Backups and WAL as they lie in a store, without a PostgreSQL: for tests of the catalog and of what it lets go.
import { type BackupInfo, emptyBackupInfo, formatBackupInfo } from '../sidecar/backup/info.ts';
import { type Micros, parseTimestamp } from '../sidecar/backup/timestamp.ts';
import { serverKeys } from '../sidecar/store/keys.ts';
import type { FakeStorage } from './fake-storage.ts';

export type PlantedBackup = {
  id: string;
  /** A day of November 2026, at 01:00 UTC; the backup took ten minutes. */
  day: number;
  timeline?: number;
  /** First and last segment, by number. */
  begin: number;
  end?: number;
  info?: Partial<BackupInfo>;
  keep?: string;
};

export const KEYS = serverKeys('backups', 'pg');

const MINUTE_MICROS = 60_000_000n;

/** `DD.` of November 2026 as it stands in a backup.info. */
export function november(day: number, time = '01:00:00'): Micros {
  return parseTimestamp(`2026-11-${String(day).padStart(2, '0')} ${time}+00`) ?? 0n;
}

/** The record of a finished backup. */
export function plantedInfo({ day, timeline = 1, begin, end = begin, info }: PlantedBackup): BackupInfo {
  return {
    ...emptyBackupInfo(),
    status: 'DONE',
    serverName: 'cloud',
    version: 150_020,
    systemId: '7710894972835218202',
    xlogSegmentSize: 16 * 1024 * 1024,
    timeline,
    beginTime: november(day),
    endTime: november(day) + 10n * MINUTE_MICROS,
    beginWal: segment(timeline, begin),
    endWal: segment(timeline, end),
    beginXlog: lsn(begin, 0x28),
    endXlog: lsn(end, 0x100),
    pgdata: '/var/lib/postgresql/data/pgdata',
    ...info,
  };
}

/** Its tar, backup.info and annotations. */
export function plantBackup(storage: FakeStorage, backup: PlantedBackup): void {
  const { id, keep } = backup;
  storage.plant(KEYS.data(id, 0, '.gz'), 'tar');
  storage.plant(KEYS.data(id, 1, '.gz'), 'tar');
  storage.plant(KEYS.backupInfo(id), formatBackupInfo(plantedInfo(backup)));
  if (keep !== undefined) storage.plant(KEYS.keepAnnotation(id), keep);
}

/** Segments of a timeline, first to last. */
export function plantWal(storage: FakeStorage, timeline: number, first: number, last: number): void {
  for (let number = first; number <= last; number++) storage.plant(walKey(segment(timeline, number)), '');
}

export function plantHistory(storage: FakeStorage, timeline: number, text = ''): void {
  storage.plant(`${KEYS.wals}${hex(timeline)}.history.gz`, text);
}

export function walKey(name: string): string {
  return `${KEYS.wals}${name.slice(0, 16)}/${name}.gz`;
}

export function segment(timeline: number, number: number): string {
  return `${hex(timeline)}${hex(Math.floor(number / 256))}${hex(number % 256)}`;
}

function lsn(number: number, offset: number): string {
  const low = (number % 256) * 16 * 1024 * 1024 + offset;
  return `${Math.floor(number / 256)
    .toString(16)
    .toUpperCase()}/${low.toString(16).toUpperCase()}`;
}

function hex(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
