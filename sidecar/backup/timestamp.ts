// Points in time to the microsecond, as PostgreSQL and barman write them: a JavaScript Date would lose three digits.

/** Microseconds since 1970-01-01 00:00 UTC. */
export type Micros = bigint;

const ISO = /^(\d{4,})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(.*)$/;
const CTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;
const OFFSET = /^([+-])(\d{2})(?::?(\d{2})(?::?(\d{2}))?)?$/;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Reads ISO 8601, RFC 3339, PostgreSQL's own spelling (`2026-11-22 07:30:41.440219+00`) and ctime. Without a zone it
 * is UTC, for recovery targets as for `backup.info` (object-store-layout.md §6.3, §7.2). Undefined when not a time.
 */
export function parseTimestamp(text: string): Micros | undefined {
  const trimmed = text.trim();
  const iso = ISO.exec(trimmed);
  if (iso !== null) {
    const [, year, month, day, hour, minute, second = '0', fraction = '', zone = ''] = iso;
    const offset = offsetSeconds(zone);
    const seconds = utcSeconds(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    if (offset === undefined || seconds === undefined) return undefined;
    return BigInt(seconds - offset) * 1_000_000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'));
  }
  const ctime = CTIME.exec(trimmed);
  if (ctime === null) return undefined;
  const [, month = '', day, hour, minute, second, year] = ctime;
  const index = MONTHS.indexOf(month);
  const seconds = utcSeconds(Number(year), index, Number(day), Number(hour), Number(minute), Number(second));
  return index < 0 || seconds === undefined ? undefined : BigInt(seconds) * 1_000_000n;
}

/** Writes `2026-11-22 07:30:41.440219+00:00`: UTC with its offset, the fraction left out when it is zero. */
export function formatTimestamp(micros: Micros): string {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const date = new Date(Number((micros - fraction) / 1000n)).toISOString();
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(6, '0')}`;
  return `${date.slice(0, 10)} ${date.slice(11, 19)}${digits}+00:00`;
}

/** To the millisecond. */
export function toDate(micros: Micros): Date {
  return new Date(Number(micros / 1000n));
}

/** Of a point in time to the millisecond. */
export function fromDate(date: Date): Micros {
  return BigInt(date.getTime()) * 1000n;
}

function offsetSeconds(zone: string): number | undefined {
  if (zone === '' || /^(z|utc|gmt)$/i.test(zone)) return 0;
  const match = OFFSET.exec(zone);
  if (match === null) return undefined;
  const [, sign, hours, minutes = '0', seconds = '0'] = match;
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  return sign === '-' ? -total : total;
}

/** Undefined for a date that no calendar has, which Date.UTC would roll over silently. Second 60 is the next minute. */
function utcSeconds(year: number, month: number, day: number, hour: number, minute: number, second: number) {
  const date = new Date(Date.UTC(year, month, day));
  const exists = date.getUTCMonth() === month && date.getUTCDate() === day;
  if (!exists || hour > 24 || minute > 59 || second > 60) return undefined;
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
}
