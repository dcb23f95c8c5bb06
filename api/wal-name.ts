// Names of WAL files and arithmetic on log sequence numbers (object-store-layout.md §2.1, §2.2, §5.6).

/** What a file name in `pg_wal` says. Names keep the case they were given in. */
export type WalName =
  | { kind: 'segment' | 'partial'; name: string; timeline: number; log: number; segment: number }
  | { kind: 'backup-label'; name: string; timeline: number; log: number; segment: number }
  | { kind: 'history'; name: string; timeline: number };

const SEGMENT = /^([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})(\.partial|\.[0-9A-Fa-f]{8}\.backup)?$/;
const HISTORY = /^([0-9A-Fa-f]{8})\.history$/;

/** Default segment size in bytes; `initdb --wal-segsize` changes it, powers of two from 1 MiB to 1 GiB. */
export const DEFAULT_SEGMENT_SIZE_BYTES = 16 * 1024 * 1024;

/** Reads a base name; undefined when it is not the name of a WAL file. */
export function parseWalName(name: string): WalName | undefined {
  const history = HISTORY.exec(name);
  if (history?.[1] !== undefined) {
    return { kind: 'history', name, timeline: Number.parseInt(history[1], 16) };
  }
  const match = SEGMENT.exec(name);
  if (match === null) return undefined;
  const [, timeline = '', log = '', segment = '', rest] = match;
  return {
    kind: rest === undefined ? 'segment' : rest === '.partial' ? 'partial' : 'backup-label',
    name,
    timeline: Number.parseInt(timeline, 16),
    log: Number.parseInt(log, 16),
    segment: Number.parseInt(segment, 16),
  };
}

/** The folder below `wals/` that holds a file: timeline and log in upper-case hex; none for history files. */
export function hashDirectory(name: WalName): string | undefined {
  return name.kind === 'history' ? undefined : hex8(name.timeline) + hex8(name.log);
}

/** Name of the segment that holds an LSN. A stop LSN exactly on a boundary names the next segment, as barman does. */
export function segmentOf(timeline: number, lsn: bigint, segmentSizeBytes: number): string {
  const log = Number(lsn >> 32n);
  const segment = Math.floor(Number(lsn & 0xffffffffn) / segmentSizeBytes);
  return hex8(timeline) + hex8(log) + hex8(segment);
}

/** Name of the file that says where a timeline comes from. */
export function historyName(timeline: number): string {
  return `${hex8(timeline)}.history`;
}

/** Where a segment lies: compared by number, whatever the case of its name. */
export type SegmentPosition = { timeline: number; log: number; segment: number };

/** Negative when `a` comes first: by timeline, then by position. */
export function compareSegments(a: SegmentPosition, b: SegmentPosition): number {
  return a.timeline - b.timeline || a.log - b.log || a.segment - b.segment;
}

/** Byte offset of an LSN in its segment. */
export function offsetInSegment(lsn: bigint, segmentSizeBytes: number): number {
  return Number(lsn & 0xffffffffn) % segmentSizeBytes;
}

/** The segment after this one on the same timeline; undefined after the very last one. */
export function nextSegment(name: string, segmentSizeBytes: number): string | undefined {
  const parsed = parseWalName(name);
  if (parsed?.kind !== 'segment') return undefined;
  const segmentsPerLog = 0x100000000 / segmentSizeBytes;
  const carry = parsed.segment + 1 >= segmentsPerLog;
  if (carry && parsed.log === 0xffffffff) return undefined;
  return hex8(parsed.timeline) + hex8(carry ? parsed.log + 1 : parsed.log) + hex8(carry ? 0 : parsed.segment + 1);
}

/** Reads `16/B374D848`; throws a RangeError on anything else. */
export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes an LSN as PostgreSQL prints it. */
export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** Whether a number of bytes can be the size of a segment: a power of two from 1 MiB to 1 GiB. */
export function isSegmentSize(sizeBytes: number): boolean {
  return sizeBytes >= 1 << 20 && sizeBytes <= 1 << 30 && Number.isInteger(Math.log2(sizeBytes));
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
