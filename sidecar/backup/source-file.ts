// A file of the data folder while it is read. Plain descriptors, because a trip to libuv's threads is what a small file costs:
// two of them, to open and to read, where a FileHandle makes four. What an open file is, and closing one that was only read,
// is answered from memory.
//
// O_DIRECT was tried for large files (0.8 GiB, two cores): it keeps the page cache clean and saves 0.1 s of system time, but
// reads at 1 GB/s with three reads at a time, less with one, where the page cache, which holds much of a busy database, gives
// 3 GB/s and more: a backup without a codec would wait for it.
import { closeSync, fstatSync, open, read, type Stats } from 'node:fs';
import { promisify } from 'node:util';
import { BufferPool } from '../stream/buffers.ts';
import { orVanished } from './tree.ts';

export type SourceFile = {
  stats: Stats;
  /** Fills the piece with what is at a position, as far as the file goes; returns how many bytes that is. */
  readInto(piece: Buffer, position: number): Promise<number>;
  /** Once is enough, twice does no harm. */
  close(): void;
};

/** Content of this size is kept in memory when it is read ahead. */
const SMALL_BYTES = 64 * 1024;
/** As many as are read ahead (read-ahead.ts), and the one that is copied. */
const smallContents = new BufferPool(9);

const openAsync = promisify(open);
const readAsync = promisify(read);

/** Opens a file; undefined when it has vanished. `readSmall`: reads it at once when it is small. */
export async function openSource(path: string, options?: { readSmall?: boolean }): Promise<SourceFile | undefined> {
  const fd = await orVanished(openAsync(path, 'r'));
  if (fd === undefined) return undefined;
  try {
    const stats = fstatSync(fd);
    const isSmall = options?.readSmall === true && stats.isFile() && stats.size <= SMALL_BYTES;
    if (isSmall) return await smallFile(fd, stats);
    return openFile(fd, stats);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openFile(fd: number, stats: Stats): SourceFile {
  let isOpen = true;
  return {
    stats,
    readInto: (piece, position) => readInto(fd, piece, position),
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
}

/** As it is now; the file is closed at once. */
async function smallFile(fd: number, stats: Stats): Promise<SourceFile> {
  const memory = smallContents.take(SMALL_BYTES);
  const content = memory.subarray(0, await readInto(fd, memory.subarray(0, stats.size), 0));
  closeSync(fd);
  let isKept = true;
  return {
    stats,
    readInto: async (piece, position) => content.copy(piece, 0, position),
    close: () => {
      if (isKept) smallContents.give(memory);
      isKept = false;
    },
  };
}

async function readInto(fd: number, piece: Buffer, position: number): Promise<number> {
  let filled = 0;
  while (filled < piece.length) {
    const { bytesRead } = await readAsync(fd, piece, filled, piece.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}
