// One file of a tar on its way to the disk: content in large writes, while more comes; owner, mode and time; then the disk.
import type { FileHandle } from 'node:fs/promises';
import type { TarHeader } from './tar-header.ts';

/** Written at a time; as much again may gather meanwhile. */
const WRITE_BYTES = 1024 * 1024;

/**
 * Gathers pieces and writes them without copying. `open` may still be under way when pieces come. Memory: what is being
 * written and what has gathered, 1 MiB and a piece each.
 */
export class FileWriter {
  readonly #opening: Promise<FileHandle>;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #writing: Promise<void>;
  #isWriting = true;
  #failed = false;

  constructor(opening: Promise<FileHandle>) {
    this.#opening = opening;
    this.#writing = this.#follow(opening.then(() => {}));
  }

  /** Takes a piece, which must not change any more; a promise when the disk is behind. */
  write(piece: Buffer): Promise<void> | undefined {
    this.#gathered.push(piece);
    this.#gatheredBytes += piece.length;
    if (this.#gatheredBytes < WRITE_BYTES) return undefined;
    if (this.#isWriting || this.#failed) return this.#writing.then(() => this.#startWrite());
    this.#startWrite();
    return undefined;
  }

  /** Writes the rest, sets what the header says, and calls `synced` with the open file, which closes it in the end. */
  async finish(header: TarHeader, sync: (file: FileHandle) => Promise<void>): Promise<void> {
    try {
      await this.#writing;
      this.#startWrite();
      await this.#writing;
      const file = await this.#opening;
      await setAttributes(file, header);
      await sync(file);
    } finally {
      await this.close();
    }
  }

  /** Leaves the file as it is. Never throws. */
  async close(): Promise<void> {
    await this.#writing.catch(() => {});
    const file = await this.#opening.catch(() => undefined);
    await file?.close().catch(() => {});
  }

  #startWrite(): void {
    const pieces = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (pieces.length > 0) this.#writing = this.#follow(this.#opening.then((file) => writeAll(file, pieces)));
  }

  #follow(work: Promise<void>): Promise<void> {
    this.#isWriting = true;
    const followed = work.then(
      () => {
        this.#isWriting = false;
      },
      (error) => {
        this.#isWriting = false;
        this.#failed = true;
        throw error;
      },
    );
    // It is awaited when the next piece comes, or at the end.
    followed.catch(() => {});
    return followed;
  }
}

async function writeAll(file: FileHandle, pieces: Buffer[]): Promise<void> {
  let left = pieces;
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left);
    left = after(left, bytesWritten);
  }
}

/** What a short write has left over. */
function after(pieces: readonly Buffer[], writtenBytes: number): Buffer[] {
  const left: Buffer[] = [];
  let skipBytes = writtenBytes;
  for (const piece of pieces) {
    if (skipBytes < piece.length) left.push(piece.subarray(skipBytes));
    skipBytes = Math.max(0, skipBytes - piece.length);
  }
  return left;
}

async function setAttributes(file: FileHandle, { uid, gid, mode, mtime }: TarHeader): Promise<void> {
  if (process.getuid?.() === 0) await file.chown(uid, gid);
  // The umask may have taken bits away when the file was made.
  if ((mode & 0o777) !== OWNER_ONLY) await file.chmod(mode & 0o777);
  await file.utimes(mtime, mtime);
}

/** The mode that files are made with: no umask takes anything from it that PostgreSQL can do without. */
export const OWNER_ONLY = 0o600;
