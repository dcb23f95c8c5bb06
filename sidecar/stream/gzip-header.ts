// The header of a gzip member (RFC 1952).

const EXTRA = 4;
const NAME = 8;
const COMMENT = 16;
const CHECKSUM = 2;
const RESERVED = 0xe0;
const FIXED_BYTES = 10;

/** Length in bytes of the header at the start of `bytes`; `short` when it goes on behind them, `none` when it is none. */
export function gzipHeaderBytes(bytes: Buffer): number | 'short' | 'none' {
  const start = Buffer.from([0x1f, 0x8b, 8]);
  const seen = Math.min(start.length, bytes.length);
  if (start.compare(bytes, 0, seen, 0, seen) !== 0) return 'none';
  if (bytes.length < FIXED_BYTES) return 'short';
  const flags = bytes[3] ?? 0;
  if ((flags & RESERVED) !== 0) return 'none';
  let at = FIXED_BYTES;
  if ((flags & EXTRA) !== 0) {
    if (bytes.length < at + 2) return 'short';
    at += 2 + bytes.readUInt16LE(at);
  }
  for (const text of [NAME, COMMENT]) {
    if ((flags & text) === 0) continue;
    const end = bytes.indexOf(0, at);
    if (end < 0) return 'short';
    at = end + 1;
  }
  if ((flags & CHECKSUM) !== 0) at += 2;
  return bytes.length < at ? 'short' : at;
}
