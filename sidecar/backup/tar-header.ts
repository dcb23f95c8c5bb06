// What stands in front of the content of a tar's entry: POSIX pax, as Python's tarfile writes it (object-store-layout.md §5.2).
// tar-stream's encoder is reached only through its streams, which cost a copy and fresh memory for every piece of content.

export type TarEntry = {
  /** `/` between folders; a folder's name ends with one. */
  name: string;
  type: 'file' | 'folder' | 'symlink' | 'link';
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  /** Of the content; 0 for all but files. */
  sizeBytes: number;
  /** Where a symbolic link points to; the name of the first entry of a hard link. */
  target?: string;
};

export const TAR_BLOCK_BYTES = 512;

const TYPE_FLAGS = { file: '0', link: '1', symlink: '2', folder: '5', pax: 'x' } as const;
/** Bytes of a name, and of what a link points to. */
const NAME_BYTES = 100;
/** The largest numbers of seven and of eleven octal digits. */
const LARGEST_OWNER = 0o7777777;
const LARGEST_SIZE = 0o77777777777;

/**
 * Header blocks of an entry: the extended header with the fractional time, and with names that are long or not ASCII and
 * numbers that are too large for the plain one; then the plain one. A multiple of 512 bytes.
 */
export function encodeTarHeader(entry: TarEntry): Buffer {
  const records = Buffer.from(paxRecords(entry).map(paxRecord).join(''));
  const recordBlocks = Math.ceil(records.length / TAR_BLOCK_BYTES);
  const bytes = Buffer.alloc((recordBlocks + 2) * TAR_BLOCK_BYTES);
  const extended = { name: '././@PaxHeader', mode: 0o644, uid: 0, gid: 0, mtimeMs: 0, sizeBytes: records.length };
  writeHeader(bytes.subarray(0, TAR_BLOCK_BYTES), TYPE_FLAGS.pax, extended);
  records.copy(bytes, TAR_BLOCK_BYTES);
  writeHeader(bytes.subarray(-TAR_BLOCK_BYTES), TYPE_FLAGS[entry.type], entry);
  return bytes;
}

function paxRecords(entry: TarEntry): [string, string][] {
  const { name, target, uid, gid, sizeBytes } = entry;
  const records: [string, string][] = [['mtime', (entry.mtimeMs / 1000).toFixed(6)]];
  if (!isPlain(name)) records.push(['path', name]);
  if (target !== undefined && !isPlain(target)) records.push(['linkpath', target]);
  if (uid > LARGEST_OWNER) records.push(['uid', String(uid)]);
  if (gid > LARGEST_OWNER) records.push(['gid', String(gid)]);
  if (sizeBytes > LARGEST_SIZE) records.push(['size', String(sizeBytes)]);
  return records;
}

/** Short enough for the plain header, and of printable ASCII. */
function isPlain(name: string): boolean {
  return name.length <= NAME_BYTES && plainName(name) === name;
}

/** `28 mtime=1795332640.569804`: the length counts itself. */
function paxRecord([key, value]: [string, string]): string {
  const rest = Buffer.byteLength(key) + Buffer.byteLength(value) + 3;
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length++;
  return `${length} ${key}=${value}\n`;
}

type Plain = Omit<TarEntry, 'type'>;

function writeHeader(header: Buffer, flag: string, entry: Plain): void {
  header.write(plainName(entry.name), 0, NAME_BYTES, 'latin1');
  writeOctal(header, 100, 8, entry.mode & 0o7777);
  writeOctal(header, 108, 8, entry.uid > LARGEST_OWNER ? 0 : entry.uid);
  writeOctal(header, 116, 8, entry.gid > LARGEST_OWNER ? 0 : entry.gid);
  writeOctal(header, 124, 12, entry.sizeBytes > LARGEST_SIZE ? 0 : entry.sizeBytes);
  writeOctal(header, 136, 12, Math.max(0, Math.floor(entry.mtimeMs / 1000)));
  header.write(flag, 156, 'latin1');
  if (entry.target !== undefined) header.write(plainName(entry.target), 157, NAME_BYTES, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

/** What old readers see of a name that the extended header spells in full. */
function plainName(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '?');
}

function writeOctal(header: Buffer, at: number, fieldBytes: number, value: number): void {
  header.write(value.toString(8).padStart(fieldBytes - 1, '0'), at, 'latin1');
}
