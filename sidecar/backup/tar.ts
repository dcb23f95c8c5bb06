// One tar, written entry by entry as a stream (object-store-layout.md §5.2): pax, padded to 10 240 bytes, files read
// once and with exactly the size that their header says.
import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Header, type Pack, pack } from 'tar-stream';
import { orVanished } from './tree.ts';

export type TarOwner = { mode: number; uid: number; gid: number; mtimeMs: number };

export type TarWriter = {
  /** The bytes of the tar. Their reader sets the pace of everything that is added. */
  bytes: AsyncIterable<Buffer>;
  /** A folder; the name gets its final slash here. */
  addFolder(name: string, owner: TarOwner): Promise<void>;
  addSymlink(name: string, target: string, owner: TarOwner): Promise<void>;
  addBytes(name: string, content: Buffer, owner: TarOwner): Promise<void>;
  /**
   * A file as it is now. One that shrinks while it is read is filled up with zeros, growth is cut off (WAL replay
   * repairs both); the second link to a file becomes a link. Returns its size; undefined when it has vanished.
   */
  addFile(name: string, source: string): Promise<number | undefined>;
  /** No more entries: the bytes end. */
  finish(): void;
  /** Ends the bytes with an error. */
  abort(error: Error): void;
};

const RECORD_BYTES = 10_240;
/** Largest number of the six octal digits that tar-stream writes for an owner. */
const LARGEST_OWNER = 0o777777;
const READ_BYTES = 256 * 1024;
const PIECE_BYTES = 256 * 1024;

/** Starts a tar. Nothing is buffered beyond a few pieces of a file. */
export function createTarWriter(): TarWriter {
  const tar = pack();
  // Failures reach whoever reads or adds; without a listener they would also end the process.
  tar.on('error', () => {});
  const linksTaken = new Map<string, string>();
  return {
    bytes: padded(tar),
    addFolder: (name, owner) => addEmpty(tar, header(`${name.replace(/\/$/, '')}/`, 'directory', owner)),
    addSymlink: (name, target, owner) => addEmpty(tar, { ...header(name, 'symlink', owner), linkname: target }),
    addBytes: (name, content, owner) => addWhole(tar, header(name, 'file', owner), content),
    addFile: async (name, source) => {
      const file = await orVanished(open(source, 'r'));
      if (file === undefined) return undefined;
      try {
        const stats = await file.stat();
        const identity = `${stats.dev}:${stats.ino}`;
        const first = stats.nlink > 1 ? linksTaken.get(identity) : undefined;
        if (first !== undefined) {
          await addEmpty(tar, { ...header(name, 'link', stats), linkname: first });
          return 0;
        }
        if (stats.nlink > 1) linksTaken.set(identity, name);
        await addContent(tar, header(name, 'file', stats), file, stats);
        return stats.size;
      } finally {
        await file.close();
      }
    },
    finish: () => tar.finalize(),
    abort: (error) => tar.destroy(error),
  };
}

/** Joins headers and small files into pieces: a codec makes one trip to its thread for each call. */
async function* padded(tar: Pack): AsyncGenerator<Buffer> {
  let sizeBytes = 0;
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  for await (const chunk of tar) {
    const bytes = chunk as Buffer;
    sizeBytes += bytes.length;
    waiting.push(bytes);
    waitingBytes += bytes.length;
    if (waitingBytes < PIECE_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    waitingBytes = 0;
  }
  const rest = sizeBytes % RECORD_BYTES;
  yield Buffer.concat([...waiting, Buffer.alloc(rest === 0 ? 0 : RECORD_BYTES - rest)]);
}

type PaxHeader = Partial<Header> & { name: string; pax: Record<string, string> };

function header(name: string, type: 'file' | 'directory' | 'symlink' | 'link', owner: TarOwner): PaxHeader {
  const pax: Record<string, string> = { mtime: (owner.mtimeMs / 1000).toFixed(6) };
  if (owner.uid > LARGEST_OWNER) pax.uid = String(owner.uid);
  if (owner.gid > LARGEST_OWNER) pax.gid = String(owner.gid);
  const { uid, gid } = owner;
  return { name, type, mode: owner.mode & 0o7777, uid, gid, mtime: new Date(owner.mtimeMs), size: 0, pax };
}

function addEmpty(tar: Pack, entry: PaxHeader): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry(entry, (error) => (error ? reject(error) : resolve()));
  });
}

function addWhole(tar: Pack, entry: PaxHeader, content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry({ ...entry, size: content.length }, content, (error) => (error ? reject(error) : resolve()));
  });
}

async function addContent(tar: Pack, entry: PaxHeader, file: FileHandle, stats: Stats): Promise<void> {
  if (stats.size <= READ_BYTES) {
    const content = await readExactly(file, stats.size);
    return addWhole(tar, entry, content);
  }
  const { promise: written, resolve, reject } = Promise.withResolvers<void>();
  // Awaited below; a failure in between must not count as unhandled.
  written.catch(() => {});
  const sink = tar.entry({ ...entry, size: stats.size }, (error) => (error ? reject(error) : resolve()));
  for (let done = 0; done < stats.size && !sink.destroyed; done += READ_BYTES) {
    const content = await readExactly(file, Math.min(READ_BYTES, stats.size - done));
    if (!sink.write(content)) await Promise.race([new Promise((next) => sink.once('drain', () => next(0))), written]);
  }
  sink.end(null);
  await written;
}

/** The next bytes of a file; zeros where it has become shorter. A fresh buffer each time: the last is still in use. */
async function readExactly(file: FileHandle, sizeBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const { bytesRead } = await file.read(buffer, filled, sizeBytes - filled, null);
    if (bytesRead === 0) {
      buffer.fill(0, filled);
      break;
    }
    filled += bytesRead;
  }
  return buffer;
}
