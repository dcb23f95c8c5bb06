// Histories of one server, and what a recovery window of seven days leaves of them with barman and with us.
import type { BackupInfo } from '../../../sidecar/backup/info.ts';

export type HistoricBackup = {
  letter: string;
  /** It ended so many days ago. */
  ageDays: number;
  /** First and last segment, by number. */
  begin: number;
  end?: number;
  timeline?: number;
  keep?: string;
  /** `none`: no backup.info; `unreadable`: one that cannot be read. */
  record?: 'none' | 'unreadable';
  info?: Partial<BackupInfo>;
  /** By letter: as a Barman server writes them for incremental backups. */
  parent?: string;
  children?: string[];
  /** Hours between the clock that named it and UTC. */
  idOffsetHours?: number;
  /** Objects besides `data.tar.gz` and `backup.info`. */
  more?: string[];
};

export type History = {
  title: string;
  backups: HistoricBackup[];
  /** In the words of words.ts. */
  wal: string[];
  /** The letters of finished backups that stay, with either. */
  stays: string | { barman: string; cellar: string };
  /** First column of the row in docs/retention.md that the differences are about. */
  row?: string;
  /** What is left with one and not with the other. */
  onlyWithBarman?: string[];
  onlyWithUs?: string[];
  /** What barman ends with; 0 by default. */
  barmanStatus?: number;
};

export const WINDOW_DAYS = 7;

const FAILED: Partial<BackupInfo> = { status: 'FAILED', endTime: undefined, endWal: undefined, endXlog: undefined };

export const HISTORIES: History[] = [
  {
    title: 'nothing is as old as the window',
    backups: [
      { letter: 'A', ageDays: 6, begin: 5 },
      { letter: 'B', ageDays: 1, begin: 9 },
    ],
    wal: ['1:0-12'],
    stays: 'AB',
  },
  {
    title: 'the only backup is very old',
    backups: [{ letter: 'A', ageDays: 400, begin: 0 }],
    wal: ['1:0-12'],
    stays: 'A',
  },
  {
    title: 'the window begins with the newest backup before it; parts, tablespaces and labels of older ones go too',
    backups: [
      { letter: 'A', ageDays: 30, begin: 5, more: ['data_0001.tar.gz', '16384.tar.gz', '16384_0001.tar.gz'] },
      { letter: 'B', ageDays: 20, begin: 10 },
      { letter: 'C', ageDays: 9, begin: 15, more: ['data_0001.tar.gz', '16384.tar.gz'] },
      { letter: 'D', ageDays: 2, begin: 20 },
    ],
    wal: ['1:0-25', '1:5.backup', '1:10.backup', '1:15.backup', '1:20.backup', '1:9.partial'],
    stays: 'CD',
  },
  {
    title: 'a backup that began before the window and ended in it is not the one that the window begins with',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'B', ageDays: 8, begin: 10 },
      { letter: 'C', ageDays: 6.997, begin: 15 },
    ],
    wal: ['1:5-17'],
    stays: 'BC',
  },
  {
    title: 'an old backup kept in full holds all WAL from it on',
    backups: [
      { letter: 'A', ageDays: 40, begin: 3, keep: 'full' },
      { letter: 'B', ageDays: 20, begin: 8 },
      { letter: 'C', ageDays: 9, begin: 15 },
    ],
    wal: ['1:3-20'],
    stays: 'AC',
  },
  {
    title: 'old backups kept standalone hold their own WAL only',
    backups: [
      { letter: 'A', ageDays: 50, begin: 3, end: 5, keep: 'standalone' },
      { letter: 'B', ageDays: 40, begin: 7, end: 8, keep: 'standalone' },
      { letter: 'C', ageDays: 20, begin: 10 },
      { letter: 'D', ageDays: 9, begin: 15 },
    ],
    wal: ['1:0-20', '1:3.backup', '1:7.backup'],
    stays: 'ABD',
  },
  {
    title: 'a backup kept standalone that the window begins with holds all WAL from it on',
    backups: [
      { letter: 'A', ageDays: 20, begin: 3 },
      { letter: 'B', ageDays: 9, begin: 8, end: 9, keep: 'standalone' },
      { letter: 'C', ageDays: 2, begin: 15 },
    ],
    wal: ['1:3-20'],
    stays: 'BC',
  },
  {
    title: 'a word that is none of the two keeps a backup in full',
    backups: [
      { letter: 'A', ageDays: 40, begin: 3, keep: 'because' },
      { letter: 'B', ageDays: 20, begin: 8 },
      { letter: 'C', ageDays: 9, begin: 15 },
    ],
    wal: ['1:3-20'],
    stays: 'AC',
  },
  {
    title: 'after a failover inside the window the older timeline is held by the backup on it',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'B', ageDays: 9, begin: 10 },
      { letter: 'C', ageDays: 2, begin: 14, timeline: 2 },
    ],
    wal: ['1:0-13', '1:13.partial', '2:13-16', '2.history'],
    stays: 'BC',
  },
  {
    title: 'WAL of a lower timeline goes once no backup is on it, its history stays',
    backups: [
      { letter: 'A', ageDays: 30, begin: 5 },
      { letter: 'B', ageDays: 20, begin: 9, timeline: 2 },
      { letter: 'C', ageDays: 9, begin: 12, timeline: 2 },
    ],
    wal: ['1:0-8', '1:5.backup', '1:8.partial', '2:8-14', '2.history'],
    stays: 'C',
  },
  {
    title: 'a backup kept standalone holds the timeline it is on',
    backups: [
      { letter: 'A', ageDays: 40, begin: 3, end: 5, keep: 'standalone' },
      { letter: 'B', ageDays: 30, begin: 8 },
      { letter: 'C', ageDays: 20, begin: 12, timeline: 2 },
      { letter: 'D', ageDays: 9, begin: 15, timeline: 2 },
    ],
    wal: ['1:0-11', '2:11-17', '2.history'],
    stays: 'AD',
  },
  {
    title: 'segments are counted across folders',
    backups: [
      { letter: 'A', ageDays: 20, begin: 250 },
      { letter: 'B', ageDays: 9, begin: 515 },
    ],
    wal: ['1:250-257', '1:510-516'],
    stays: 'B',
  },
  {
    title: 'what is annotated to a backup goes with it',
    row: 'annotations of a deleted backup',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5, more: ['annotations/cellar.json'], keep: '' },
      { letter: 'B', ageDays: 9, begin: 10, more: ['annotations/cellar.json'] },
    ],
    wal: ['1:5-12'],
    stays: 'B',
    onlyWithBarman: ['A/annotations/cellar.json', 'A/annotations/keep'],
  },
  {
    title: 'a failed backup goes with age and holds nothing',
    row: 'failed backups',
    backups: [
      { letter: 'F', ageDays: 40, begin: 2, info: FAILED },
      { letter: 'A', ageDays: 30, begin: 5, timeline: 2 },
      { letter: 'B', ageDays: 9, begin: 10, timeline: 2 },
      { letter: 'G', ageDays: 3, begin: 11, timeline: 2, info: FAILED },
    ],
    wal: ['1:0-4', '2:4-12', '2.history'],
    stays: 'B',
    onlyWithBarman: ['F/data.tar.gz', 'F/backup.info', '1:0-4'],
  },
  {
    title: 'a dead run goes after a day',
    row: 'folders without `backup.info`',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'H', ageDays: 15, begin: 7, record: 'none', more: ['data_0001.tar.gz', '16384.tar.gz'] },
      { letter: 'B', ageDays: 9, begin: 10 },
      { letter: 'R', ageDays: 0.5, begin: 12, record: 'none' },
    ],
    wal: ['1:5-12'],
    stays: 'B',
    onlyWithBarman: ['H/data.tar.gz', 'H/data_0001.tar.gz', 'H/16384.tar.gz'],
  },
  {
    title: 'the WAL of a timeline goes with the last backup on it',
    row: 'lower timelines',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'B', ageDays: 9, begin: 10, timeline: 2 },
    ],
    wal: ['1:5-9', '2:9-12', '2.history'],
    stays: 'B',
    onlyWithBarman: ['1:5-9'],
  },
  {
    title: 'WAL that no recovery can use goes without a backup being deleted',
    row: 'WAL between a `standalone` backup and the next one that the window needs',
    backups: [
      { letter: 'A', ageDays: 40, begin: 3, end: 5, keep: 'standalone' },
      { letter: 'B', ageDays: 9, begin: 15 },
    ],
    wal: ['1:3-17'],
    stays: 'AB',
    onlyWithBarman: ['1:6-14'],
  },
  {
    title: 'what an interrupted run has left of WAL goes in the next one',
    row: 'WAL older than every backup',
    backups: [
      { letter: 'A', ageDays: 9, begin: 10 },
      { letter: 'B', ageDays: 2, begin: 15 },
    ],
    wal: ['1:0-17'],
    stays: 'AB',
    onlyWithBarman: ['1:0-9'],
  },
  {
    title: 'what is no WAL stays, also in a folder that goes as a whole',
    row: 'objects below `wals/` that are no WAL',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'B', ageDays: 9, begin: 300 },
    ],
    wal: ['1:5-6', '1:299-302', 'wals/0000000100000000/notes.txt', 'wals/0000000100000001/notes.txt'],
    stays: 'B',
    onlyWithUs: ['wals/0000000100000000/notes.txt'],
  },
  {
    title: 'one damaged record does not keep the others from going',
    row: 'an unreadable `backup.info`',
    backups: [
      { letter: 'A', ageDays: 30, begin: 5 },
      { letter: 'X', ageDays: 25, begin: 7, record: 'unreadable' },
      { letter: 'B', ageDays: 20, begin: 9 },
      { letter: 'C', ageDays: 9, begin: 12 },
    ],
    wal: ['1:5-14'],
    stays: { barman: 'ABC', cellar: 'C' },
    barmanStatus: 1,
    onlyWithBarman: ['A/data.tar.gz', 'A/backup.info', 'B/data.tar.gz', 'B/backup.info', '1:5-11'],
  },
  {
    title: 'standalone with a newline keeps in full',
    row: '`standalone` followed by a newline',
    backups: [
      { letter: 'A', ageDays: 40, begin: 3, end: 5, keep: 'standalone\n' },
      { letter: 'B', ageDays: 20, begin: 8 },
      { letter: 'C', ageDays: 9, begin: 15 },
    ],
    wal: ['1:3-17'],
    stays: 'AC',
  },
  {
    title: 'a backup named by a clock that is ahead is older than its name',
    row: 'order of the backups',
    backups: [
      { letter: 'A', ageDays: 9, begin: 5, idOffsetHours: 13 },
      { letter: 'B', ageDays: 8.75, begin: 8 },
      { letter: 'C', ageDays: 2, begin: 12 },
    ],
    wal: ['1:8-14'],
    stays: { barman: 'AC', cellar: 'BC' },
    onlyWithBarman: ['A/data.tar.gz', 'A/backup.info'],
    onlyWithUs: ['B/data.tar.gz', 'B/backup.info'],
  },
  {
    title: 'an old backup stays as long as an incremental one builds on it',
    row: 'a backup that an incremental one builds on',
    backups: [
      { letter: 'A', ageDays: 20, begin: 5 },
      { letter: 'I', ageDays: 19, begin: 7, parent: 'A' },
      { letter: 'B', ageDays: 9, begin: 10 },
    ],
    wal: ['1:5-12'],
    stays: { barman: 'B', cellar: 'AB' },
    onlyWithBarman: ['1:8-9'],
    onlyWithUs: ['A/data.tar.gz', 'A/backup.info', '1:5'],
  },
  {
    title: 'a record that names incremental backups does not keep the others from going',
    row: 'a backup that an incremental one builds on',
    backups: [
      { letter: 'A', ageDays: 30, begin: 3 },
      { letter: 'B', ageDays: 20, begin: 5, children: ['I'] },
      { letter: 'I', ageDays: 19, begin: 7, parent: 'B' },
      { letter: 'C', ageDays: 9, begin: 10 },
    ],
    wal: ['1:3-12'],
    stays: { barman: 'ABC', cellar: 'BC' },
    barmanStatus: 4,
    onlyWithBarman: ['A/data.tar.gz', 'A/backup.info', '1:3-4', '1:6', '1:8-9'],
  },
];
