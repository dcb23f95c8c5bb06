// A history in a store, once for each of the two that are to be compared.
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type BackupInfo, formatBackupInfo } from '../../../sidecar/backup/info.ts';
import type { Micros } from '../../../sidecar/backup/timestamp.ts';
import { serverKeys } from '../../../sidecar/store/keys.ts';
import type { ObjectStorage } from '../../../sidecar/store/store.ts';
import { plantedInfo } from '../../planted-backups.ts';
import type { TestS3 } from '../../servers/s3rver.ts';
import { BUCKET } from '../../wal-place.ts';
import type { HistoricBackup, History } from './histories.ts';
import { keysOf } from './words.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Each backup took so long. */
const TOOK_MS = 600_000;

/** The ids of a history's backups, by their letters. */
export function idsOf(history: History, now: Date): Map<string, string> {
  return new Map(history.backups.map((backup) => [backup.letter, idOf(backup, now)]));
}

/** Plants a copy below `backups/<server>/`; objects are as old as their backup. */
export async function plantCopy(options: {
  s3: TestS3;
  storage: ObjectStorage;
  server: string;
  history: History;
  now: Date;
}): Promise<void> {
  const { s3, storage, server, history, now } = options;
  const ids = idsOf(history, now);
  const folder = serverKeys('backups', server).server;
  for (const key of keysOf(history.wal, ids)) await storage.put(`${folder}${key}`, Buffer.from(key));
  for (const backup of history.backups) {
    const objects = objectsOf(backup, now, ids);
    for (const [name, content] of objects) {
      const [key = ''] = keysOf([`${backup.letter}/${name}`], ids);
      await storage.put(`${folder}${key}`, Buffer.from(content));
      const time = endOf(backup, now);
      await utimes(join(s3.directory, BUCKET, `${folder}${key}._S3rver_object`), time, time);
    }
  }
}

/** Names below the backup's folder, and what is in them. */
export function objectsOf(backup: HistoricBackup, now: Date, ids: ReadonlyMap<string, string>): Map<string, string> {
  const { keep, record, more = [] } = backup;
  const objects = new Map(['data.tar.gz', ...more].map((name) => [name, 'content']));
  if (keep !== undefined) objects.set('annotations/keep', keep);
  if (record === 'unreadable') objects.set('backup.info', 'this is no record\n');
  else if (record === undefined) objects.set('backup.info', formatBackupInfo(infoOf(backup, now, ids)));
  return objects;
}

function infoOf(backup: HistoricBackup, now: Date, ids: ReadonlyMap<string, string>): BackupInfo {
  const { letter, timeline = 1, begin, end = begin, info = {}, more = [], parent, children } = backup;
  const endTime = endOf(backup, now);
  const times = { beginTime: micros(endTime.getTime() - TOOK_MS), endTime: micros(endTime.getTime()) };
  const tablespaces = more.some((name) => name.startsWith('16384.'))
    ? { tablespaces: [{ name: 'tb', oid: 16384, location: '/tablespaces/tb' }] }
    : {};
  const kin = {
    parentBackupId: parent === undefined ? undefined : ids.get(parent),
    childrenBackupIds: children?.map((child) => ids.get(child) ?? ''),
  };
  return plantedInfo({ id: letter, day: 1, timeline, begin, end, info: { ...times, ...tablespaces, ...kin, ...info } });
}

function idOf(backup: HistoricBackup, now: Date): string {
  const begun = endOf(backup, now).getTime() - TOOK_MS + (backup.idOffsetHours ?? 0) * HOUR_MS;
  const digits = new Date(begun).toISOString().replaceAll(/\D/g, '');
  return `${digits.slice(0, 8)}T${digits.slice(8, 14)}`;
}

function endOf({ ageDays }: HistoricBackup, now: Date): Date {
  return new Date(now.getTime() - ageDays * DAY_MS);
}

function micros(ms: number): Micros {
  return BigInt(Math.round(ms)) * 1000n;
}
