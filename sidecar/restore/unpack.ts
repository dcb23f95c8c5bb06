// Puts the entries of tars below one folder, and never anywhere else: no entry leaves the folder by its name, or by a
// symbolic link that another entry made (object-store-layout.md §8).
import { chown, type FileHandle, lchown, link, lstat, mkdir, open, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Header } from 'tar-stream';
import { CorruptError } from '../../api/errors.ts';
import type { Progress } from '../backup/progress.ts';
import { orVanished } from '../backup/tree.ts';
import type { Codec } from '../stream/codec.ts';
import { memberPath } from './member-path.ts';
import { type TarMember, TarReader } from './tar-reader.ts';

export type UnpackerOptions = {
  /** Exists already, and is empty. */
  root: string;
  /** This file gets `HELD_BACK_SUFFIX` behind its name, for the caller to rename when everything else is done. */
  heldBack?: string;
  progress: Progress;
};

export const HELD_BACK_SUFFIX = '.cellar-restoring';

/** PostgreSQL refuses folders that others may enter; it accepts its group's reading. */
const PRIVATE_FOLDER = 0o700;
const GROUP_FOLDER = 0o750;
/** Files being synced at a time. */
const SYNCING = 16;

/** Unpacks any number of tars, one after the other, below one folder. */
export class Unpacker {
  readonly #options: UnpackerOptions;
  /** Folders that are known to be real folders, with the header that describes them. */
  readonly #folders = new Map<string, Header | undefined>([['', undefined]]);
  readonly #syncing = new Set<Promise<void>>();
  #syncError: unknown;

  constructor(options: UnpackerOptions) {
    this.#options = options;
  }

  /** Unpacks one tar; the unpacker sets the pace. Throws CorruptError for what it must not or cannot unpack. */
  async unpack(packed: Readable, codec: Codec, signal: AbortSignal): Promise<void> {
    let putting = Promise.resolve();
    const reader = new TarReader((member) => {
      putting = this.#put(member);
      return putting;
    });
    try {
      await pipeline(packed, codec.decoder(), reader, { signal });
    } catch (error) {
      // The entry in hand may still be making a file.
      await Promise.allSettled([putting]);
      throw error;
    }
  }

  /** Waits until all files are on disk; then gives folders their modes and times, and syncs them. */
  async finish(): Promise<void> {
    await Promise.all(this.#syncing);
    this.#throwSyncError();
    for (const [path, header] of [...this.#folders].reverse()) {
      const folder = await open(join(this.#options.root, path), 'r');
      try {
        await folder.chmod(header !== undefined && (header.mode & 0o050) === 0o050 ? GROUP_FOLDER : PRIVATE_FOLDER);
        if (header !== undefined) await folder.utimes(mtimeOf(header), mtimeOf(header));
        await folder.sync();
      } finally {
        await folder.close();
      }
    }
  }

  /** Leaves nothing running. Never throws. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#syncing);
  }

  async #put({ header, content }: TarMember): Promise<void> {
    const path = memberPath(header.name);
    this.#throwSyncError();
    if (header.type === 'directory') await this.#putFolder(path, header);
    else if (header.type === 'file' || header.type === 'contiguous-file') await this.#putFile(path, header, content);
    else if (header.type === 'symlink') await this.#putSymlink(path, header);
    else if (header.type === 'link') await this.#putLink(path, header);
    else throw new CorruptError(`refusing the tar entry ${JSON.stringify(header.name)} of type ${header.type}`);
    // The content must be read to its end, also where there should be none.
    for await (const _ of content);
  }

  async #putFolder(path: string[], header: Header): Promise<void> {
    await this.#enter(path);
    this.#folders.set(path.join('/'), header);
    if (runsAsRoot()) await chown(this.#at(path), ...ownerOf(header));
  }

  async #putFile(path: string[], header: Header, content: AsyncIterable<Buffer>): Promise<void> {
    await this.#enter(path.slice(0, -1));
    const file = await this.#replace(path, (at) => open(at, 'wx', 0o600));
    try {
      await file.writeFile(content);
      if (runsAsRoot()) await file.chown(...ownerOf(header));
      await file.chmod(header.mode & 0o777);
      await file.utimes(mtimeOf(header), mtimeOf(header));
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#options.progress.add(header.size, 1);
    await this.#syncLater(file);
  }

  /** The target may be anywhere; nobody follows the link while unpacking. */
  async #putSymlink(path: string[], header: Header): Promise<void> {
    await this.#enter(path.slice(0, -1));
    await this.#replace(path, (at) => symlink(header.linkname, at));
    if (runsAsRoot()) await lchown(this.#at(path), ...ownerOf(header));
  }

  async #putLink(path: string[], header: Header): Promise<void> {
    const target = memberPath(header.linkname);
    await this.#enter(path.slice(0, -1));
    await this.#enter(target.slice(0, -1));
    const found = await orVanished(lstat(this.#at(target)));
    if (!found?.isFile()) {
      throw new CorruptError(
        `refusing the tar entry ${JSON.stringify(header.name)}: no file ${header.linkname} to link`,
      );
    }
    await this.#replace(path, (at) => link(this.#at(target), at));
  }

  /** Makes sure that every element is a real folder below the root, made here if need be. */
  async #enter(path: string[]): Promise<void> {
    for (let depth = 1; depth <= path.length; depth++) {
      const known = path.slice(0, depth).join('/');
      if (this.#folders.has(known)) continue;
      const at = join(this.#options.root, known);
      const found = await orVanished(lstat(at));
      if (found === undefined) await mkdir(at, PRIVATE_FOLDER);
      else if (!found.isDirectory()) throw new CorruptError(`refusing tar entries below ${known}: it is not a folder`);
      this.#folders.set(known, undefined);
    }
  }

  /** Makes a new file of any kind; an older one of that name goes, as a later entry of a tar wins. */
  async #replace<T>(path: string[], make: (at: string) => Promise<T>): Promise<T> {
    if (path.length === 0) throw new CorruptError('refusing a tar entry that would replace the folder itself');
    const at = this.#at(path);
    try {
      return await make(at);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      if (this.#folders.has(path.join('/'))) {
        throw new CorruptError(`refusing the tar entry ${path.join('/')}: it would replace a folder`, { cause: error });
      }
    }
    await unlink(at);
    return make(at);
  }

  #at(path: string[]): string {
    const name = path.join('/');
    const suffix = name === this.#options.heldBack ? HELD_BACK_SUFFIX : '';
    return join(this.#options.root, `${name}${suffix}`);
  }

  async #syncLater(file: FileHandle): Promise<void> {
    const work = syncAndClose(file)
      .catch((error) => {
        this.#syncError ??= error;
      })
      .finally(() => this.#syncing.delete(work));
    this.#syncing.add(work);
    if (this.#syncing.size >= SYNCING) await Promise.race(this.#syncing);
  }

  #throwSyncError(): void {
    if (this.#syncError !== undefined) throw this.#syncError;
  }
}

async function syncAndClose(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

function mtimeOf(header: Header): Date {
  const exact = Number(paxOf(header).mtime);
  return Number.isFinite(exact) ? new Date(exact * 1000) : header.mtime;
}

function ownerOf(header: Header): [number, number] {
  const { uid = header.uid, gid = header.gid } = paxOf(header);
  return [Number(uid), Number(gid)];
}

function paxOf(header: Header): { mtime?: string; uid?: string; gid?: string } {
  return typeof header.pax === 'object' && header.pax !== null ? header.pax : {};
}

function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}
