// The header blocks of a tar: ustar, GNU long names, pax records (object-store-layout.md §5.2). Pure.
import { CorruptError } from '../../api/errors.ts';

export const BLOCK_BYTES = 512;

/** `extension`: describes the entry after it; see `Extensions`. `other`: what no base backup has. */
export type TarKind = 'file' | 'folder' | 'link' | 'symlink' | 'extension' | 'other';

export type TarHeader = {
  kind: TarKind;
  /** The type flag as it is written, for messages and extensions. */
  flag: string;
  name: string;
  linkName: string;
  mode: number;
  uid: number;
  gid: number;
  /** Of the content that follows; 0 where none does, whatever the header says. */
  sizeBytes: number;
  /** Seconds since 1970, with a fraction where pax gives one. */
  mtime: number;
};

const KINDS: Record<string, TarKind> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '5': 'folder',
  x: 'extension',
  g: 'extension',
  L: 'extension',
  K: 'extension',
};
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;

/** Reads one header block; undefined for a block of zeros. Throws CorruptError for anything that is no header. */
export function parseHeader(block: Buffer): TarHeader | undefined {
  const sum = sumOf(block);
  if (sum === 0) return undefined;
  if (sum !== numberAt(block, CHECKSUM_AT, CHECKSUM_BYTES)) {
    throw new CorruptError('not a whole tar: the checksum of a header differs');
  }
  const flag = String.fromCharCode(block[156] ?? 0);
  const prefix = block.toString('latin1', 257, 262) === 'ustar' && block[262] === 0 ? textAt(block, 345, 155) : '';
  const own = textAt(block, 0, 100);
  const name = prefix === '' ? own : `${prefix}/${own}`;
  // Before there was a flag for folders, a slash at the end of the name was it.
  const kind = flag === '\0' && name.endsWith('/') ? 'folder' : (KINDS[flag] ?? 'other');
  return {
    ...{ kind, flag, name, linkName: textAt(block, 157, 100) },
    mode: numberAt(block, 100, 8),
    uid: numberAt(block, 108, 8),
    gid: numberAt(block, 116, 8),
    sizeBytes: kind === 'file' || kind === 'extension' ? numberAt(block, 124, 12) : 0,
    mtime: numberAt(block, 136, 12),
  };
}

/** What extension entries say of the next entry, and global ones of all after them. */
export class Extensions {
  #all = new Map<string, string>();
  #next = new Map<string, string>();

  /** Takes the content of an extension entry. */
  note(flag: string, content: Buffer): void {
    if (flag === 'L') this.#next.set('path', textAt(content, 0, content.length));
    else if (flag === 'K') this.#next.set('linkpath', textAt(content, 0, content.length));
    else for (const [name, value] of paxRecords(content)) (flag === 'g' ? this.#all : this.#next).set(name, value);
  }

  /** The header with all that was said of it; what was said of it alone is forgotten. */
  applyTo(header: TarHeader): TarHeader {
    const records = this.#all.size === 0 ? this.#next : new Map([...this.#all, ...this.#next]);
    if (records.size === 0) return header;
    this.#next = new Map();
    const sparse = [...records.keys()].find((name) => name.startsWith('GNU.sparse.'));
    if (sparse !== undefined)
      throw new CorruptError(`refusing the tar entry ${JSON.stringify(header.name)}: it is sparse`);
    return {
      ...header,
      name: records.get('path') ?? header.name,
      linkName: records.get('linkpath') ?? header.linkName,
      uid: integerOf(records, 'uid') ?? header.uid,
      gid: integerOf(records, 'gid') ?? header.gid,
      sizeBytes: header.kind === 'file' ? (integerOf(records, 'size') ?? header.sizeBytes) : header.sizeBytes,
      mtime: secondsOf(records.get('mtime')) ?? header.mtime,
    };
  }
}

/** `LENGTH KEY=VALUE\n`, the length counting all of it. */
function* paxRecords(content: Buffer): Iterable<[string, string]> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(content.toString('latin1', at, space));
    const end = at + length;
    const equals = content.indexOf(0x3d, space);
    if (!Number.isInteger(length) || end > content.length || equals < 0 || equals >= end || content[end - 1] !== 0x0a) {
      throw new CorruptError('not a whole tar: a pax record is wrong');
    }
    yield [content.toString('utf8', space + 1, equals), content.toString('utf8', equals + 1, end - 1)];
    at = end;
  }
}

function integerOf(records: Map<string, string>, name: string): number | undefined {
  const text = records.get(name);
  if (text === undefined) return undefined;
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw new CorruptError(`not a whole tar: pax ${name} is ${JSON.stringify(text.slice(0, 40))}`);
  }
  return Number(text);
}

function secondsOf(text: string | undefined): number | undefined {
  const seconds = Number(text);
  return text === undefined || !Number.isFinite(seconds) ? undefined : seconds;
}

/** The sum of the block's bytes, the checksum itself counted as blanks; 0 for a block of zeros. */
function sumOf(block: Buffer): number {
  let sum = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) sum += block[at] ?? 0;
  if (sum === 0) return 0;
  for (let at = CHECKSUM_AT; at < CHECKSUM_AT + CHECKSUM_BYTES; at++) sum += 0x20 - (block[at] ?? 0);
  return sum;
}

function textAt(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString('utf8', at, end < 0 || end > at + length ? at + length : end);
}

/** Octal digits; or, where the first byte has its highest bit set, base 256 as GNU and Python write large numbers. */
function numberAt(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if (first === 0x80) {
    let value = 0;
    for (let byte = at + 1; byte < at + length; byte++) value = value * 256 + (block[byte] ?? 0);
    if (Number.isSafeInteger(value)) return value;
  } else if (first < 0x80) {
    const text = block
      .toString('latin1', at, at + length)
      .replace(/[\0 ]+$/, '')
      .trim();
    if (/^[0-7]*$/.test(text)) return text === '' ? 0 : Number.parseInt(text, 8);
  }
  throw new CorruptError('not a whole tar: a number of a header is wrong');
}
