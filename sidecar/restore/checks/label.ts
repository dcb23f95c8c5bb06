// Whether a backup_label belongs to a backup: PostgreSQL starts its replay where the label says. Pure.
import { CorruptError } from '../../../api/errors.ts';
import { parseLsn } from '../../../api/wal-name.ts';
import type { DoneEntry } from '../../backup/catalog.ts';

type Difference = { what: string; found: string; expected: string };

/** Throws CorruptError for a label that says something else than backup.info, or nothing that PostgreSQL could use. */
export function assertOwnLabel(label: string, { id, info }: DoneEntry): void {
  const start = /^START WAL LOCATION: ([0-9A-F]{1,8}\/[0-9A-F]{1,8}) \(file [0-9A-F]{24}\)$/m.exec(label)?.[1];
  if (start === undefined) throw new CorruptError(`the backup_label of base backup ${id} has no START WAL LOCATION`);
  const differences: Difference[] = [];
  const compare = (
    what: string,
    found: string | undefined,
    expected: string | undefined,
    same = found === expected,
  ) => {
    if (found !== undefined && expected !== undefined && !same) differences.push({ what, found, expected });
  };
  const begin = info.beginXlog;
  compare('START WAL LOCATION', start, begin, begin !== undefined && parseLsn(start) === parseLsn(begin));
  compare('START TIMELINE', lineOf(label, 'START TIMELINE'), info.timeline?.toFixed(0));
  // Whoever else takes a backup may label it as they like.
  compare('LABEL', /^Barman backup \S+ (\d{8}T\d{6})$/.exec(lineOf(label, 'LABEL') ?? '')?.[1], id);
  const [first] = differences;
  if (first === undefined) return;
  throw new CorruptError(
    `the backup_label in the tars belongs to another backup than ${id}: its ${first.what} is ${first.found}, ` +
      `backup.info says ${first.expected}; replay from there would damage the data: restore another backup`,
  );
}

function lineOf(label: string, field: string): string | undefined {
  return new RegExp(`^${field}: (.*)$`, 'm').exec(label)?.[1];
}
