// One tar, written entry by entry as a stream (object-store-layout.md §5.2): pax, padded to 10 240 bytes, files read
// once and with exactly the size that their header says, straight into the blocks that the codec packs.
import type { Readable } from 'node:stream';
import { openSource, type SourceFile } from './source-file.ts';
import { TarBytes } from './tar-bytes.ts';
import { encodeTarHeader, TAR_BLOCK_BYTES } from './tar-header.ts';

export type TarOwner = { mode: number; uid: number; gid: number; mtimeMs: number };

export type AddFileOptions = {
  /**
   * Is shown everything that is read of the content, in order, before it is handed on, which waits for it. Pieces start at
   * multiples of 8192 of the file; they are views, valid until it settles. Zeros that fill up a file are not shown, so the
   * last piece may end anywhere; of a second link to a file nothing is shown.
   */
  inspect?: (piece: Buffer, fileOffset: number) => Promise<void> | void;
};

export type TarWriter = {
  /** The bytes of the tar, in lent blocks (stream/blocks.ts). Their reader sets the pace of everything that is added. */
  bytes: Readable;
  /** A folder; the name gets its final slash here. */
  addFolder(name: string, owner: TarOwner): Promise<void>;
  addSymlink(name: string, target: string, owner: TarOwner): Promise<void>;
  addBytes(name: string, content: Buffer, owner: TarOwner): Promise<void>;
  /**
   * A file as it is now. One that shrinks while it is read is filled up with zeros, growth is cut off (WAL replay
   * repairs both); the second link to a file becomes a link. Returns its size; undefined when it has vanished. What was
   * opened before (read-ahead.ts) is closed.
   */
  addFile(
    name: string,
    source: string | Promise<SourceFile | undefined>,
    options?: AddFileOptions,
  ): Promise<number | undefined>;
  /** No more entries: the bytes end. */
  finish(): Promise<void>;
  /** Ends the bytes with an error. */
  abort(error: Error): void;
};

const RECORD_BYTES = 10_240;
/** PostgreSQL's pages, of which pieces hold whole ones. */
const PAGE_BYTES = 8192;

/** Starts a tar. Memory: the block that is filled and the one that waits for the reader. One entry is added at a time. */
export function createTarWriter(): TarWriter {
  const bytes = new TarBytes();
  const linksTaken = new Map<string, string>();
  return {
    bytes,
    addFolder: (name, owner) =>
      bytes.write(
        encodeTarHeader({ ...ownerOf(owner), name: `${name.replace(/\/$/, '')}/`, type: 'folder', sizeBytes: 0 }),
      ),
    addSymlink: (name, target, owner) =>
      bytes.write(encodeTarHeader({ ...ownerOf(owner), name, type: 'symlink', target, sizeBytes: 0 })),
    addBytes: async (name, content, owner) => {
      await bytes.write(encodeTarHeader({ ...ownerOf(owner), name, type: 'file', sizeBytes: content.length }));
      await bytes.write(content);
      await pad(bytes, TAR_BLOCK_BYTES);
    },
    addFile: async (name, source, options = {}) => {
      const file = await (typeof source === 'string' ? openSource(source) : source);
      if (file === undefined) return undefined;
      try {
        const { stats } = file;
        const identity = `${stats.dev}:${stats.ino}`;
        const first = stats.nlink > 1 ? linksTaken.get(identity) : undefined;
        if (first !== undefined) {
          await bytes.write(encodeTarHeader({ ...ownerOf(stats), name, type: 'link', target: first, sizeBytes: 0 }));
          return 0;
        }
        if (stats.nlink > 1) linksTaken.set(identity, name);
        await bytes.write(encodeTarHeader({ ...ownerOf(stats), name, type: 'file', sizeBytes: stats.size }));
        await addContent(bytes, file, options.inspect);
        await pad(bytes, TAR_BLOCK_BYTES);
        return stats.size;
      } finally {
        file.close();
      }
    },
    finish: async () => {
      await bytes.write(Buffer.alloc(2 * TAR_BLOCK_BYTES));
      await pad(bytes, RECORD_BYTES);
      await bytes.end();
    },
    abort: (error) => {
      bytes.destroy(error);
    },
  };
}

function ownerOf({ mode, uid, gid, mtimeMs }: TarOwner): TarOwner {
  return { mode, uid, gid, mtimeMs };
}

/** Pieces end with a page, except for the last, so that blocks that hold content are not always quite full. */
async function addContent(bytes: TarBytes, file: SourceFile, inspect: AddFileOptions['inspect']): Promise<void> {
  const sizeBytes = file.stats.size;
  let hasEnded = false;
  for (let done = 0; done < sizeBytes; ) {
    const left = sizeBytes - done;
    const room = bytes.room.length;
    const wanted = left <= room ? left : room - (room % PAGE_BYTES);
    if (wanted === 0) {
      await bytes.next();
      continue;
    }
    const piece = bytes.room.subarray(0, wanted);
    const readBytes: number = hasEnded ? 0 : await file.readInto(piece, done);
    if (readBytes > 0) await inspect?.(piece.subarray(0, readBytes), done);
    hasEnded ||= readBytes < wanted;
    piece.fill(0, readBytes);
    bytes.fill(wanted);
    done += wanted;
  }
}

async function pad(bytes: TarBytes, unitBytes: number): Promise<void> {
  const rest = bytes.sizeBytes % unitBytes;
  if (rest !== 0) await bytes.write(Buffer.alloc(unitBytes - rest));
}
