// Puts the entries of tars below one folder, and never anywhere else: no entry leaves the folder by its name, or by a
// symbolic link that another entry made (object-store-layout.md §8).
import { chown, lchown, link, lstat, mkdir, open, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CorruptError } from '../../api/errors.ts';
import type { Progress } from '../backup/progress.ts';
import { orVanished } from '../backup/tree.ts';
import { FileWriter, OWNER_ONLY } from './file-writer.ts';
import type { InFlight } from './in-flight.ts';
import { memberPath } from './member-path.ts';
import type { TarHeader } from './tar-header.ts';
import { type EntrySink, TarReader } from './tar-reader.ts';

export type UnpackerOptions = {
  /** Exists already, and is empty. */
  root: string;
  /** This file gets `HELD_BACK_SUFFIX` behind its name, for the caller to rename when everything else is done. */
  heldBack?: string;
  progress: Pick<Progress, 'add'>;
  /** Shared by all trees of a restore; the caller waits for it before `finish`. */
  inFlight: InFlight;
};

export const HELD_BACK_SUFFIX = '.cellar-restoring';

/** PostgreSQL refuses folders that others may enter; it accepts its group's reading. */
const PRIVATE_FOLDER = 0o700;
const GROUP_FOLDER = 0o750;

/**
 * Unpacks the tars of one tree, several at a time. Of entries with the same name the later one wins; between tars that is
 * kept for the files right below the root and for the one held back. Below, any whole copy of a data file is as good, as
 * replay repairs it.
 */
export class Unpacker {
  readonly #options: UnpackerOptions;
  /** Folders that are known to be real folders, with the header that describes them. */
  readonly #folders = new Map<string, TarHeader | undefined>([['', undefined]]);
  /** What is being made, until it is closed. */
  readonly #files = new Map<string, Promise<void>>();
  /** The tar that a file came from, where that matters. */
  readonly #ranks = new Map<string, number>();

  constructor(options: UnpackerOptions) {
    this.#options = options;
  }

  /** The last stage of a pipeline that unpacks the tar of that number; it fails with CorruptError for what it must not unpack. */
  tar(part: number): TarReader {
    return new TarReader((header) => this.#put(header, part));
  }

  /** Gives folders their modes and times, and syncs them; when all files are on disk. */
  async finish(): Promise<void> {
    for (const [path, header] of [...this.#folders].reverse()) {
      const folder = await open(join(this.#options.root, path), 'r');
      try {
        await folder.chmod(header !== undefined && (header.mode & 0o050) === 0o050 ? GROUP_FOLDER : PRIVATE_FOLDER);
        if (header !== undefined) await folder.utimes(header.mtime, header.mtime);
        await folder.sync();
      } finally {
        await folder.close();
      }
    }
  }

  async #put(header: TarHeader, part: number): Promise<EntrySink | undefined> {
    const path = memberPath(header.name);
    if (path.at(-1)?.endsWith(HELD_BACK_SUFFIX)) throw refused(header, 'the name is ours');
    if (header.kind === 'folder') {
      await this.#putFolder(path, header);
      return undefined;
    }
    if (path.length === 0) throw refused(header, 'it would replace the folder itself');
    if (header.kind !== 'file' && header.kind !== 'symlink' && header.kind !== 'link') {
      throw refused(header, `it is of type ${JSON.stringify(header.flag)}`);
    }
    await this.#enter(path.slice(0, -1));
    const target = header.kind === 'link' ? await this.#linkTarget(header) : [];
    const release = await this.#claim(path, part);
    if (release === undefined) return undefined;
    if (header.kind === 'file') return this.#putFile(path, header, release);
    try {
      if (header.kind === 'link') await this.#putLink(path, target, header);
      else await this.#putSymlink(path, header);
    } finally {
      release();
    }
    return undefined;
  }

  /**
   * Waits until nobody else makes that file; undefined when a later tar has made it. Whoever holds a name waits for nothing
   * but the disk.
   */
  async #claim(path: string[], part: number): Promise<(() => void) | undefined> {
    const name = path.join('/');
    while (this.#files.has(name)) await this.#files.get(name);
    if (path.length === 1 || name === this.#options.heldBack) {
      if ((this.#ranks.get(name) ?? 0) > part) return undefined;
      this.#ranks.set(name, part);
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#files.set(name, promise);
    return () => {
      this.#files.delete(name);
      resolve();
    };
  }

  async #putFolder(path: string[], header: TarHeader): Promise<void> {
    await this.#enter(path);
    this.#folders.set(path.join('/'), header);
    if (runsAsRoot()) await chown(this.#at(path), header.uid, header.gid);
  }

  async #putFile(path: string[], header: TarHeader, release: () => void): Promise<EntrySink> {
    const { inFlight, progress } = this.#options;
    try {
      await inFlight.room();
    } catch (error) {
      release();
      throw error;
    }
    const writer = new FileWriter(this.#replace(path, (at) => open(at, 'wx', OWNER_ONLY)));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    inFlight.follow(promise.finally(release));
    return {
      write: (piece) => writer.write(piece),
      end: () => {
        progress.add(header.sizeBytes, 1);
        writer.finish(header, (file) => inFlight.sync(file)).then(resolve, reject);
        return undefined;
      },
      abandon: () => {
        writer.close().then(resolve, reject);
      },
    };
  }

  /** The target may be anywhere; nobody follows the link while unpacking. */
  async #putSymlink(path: string[], header: TarHeader): Promise<void> {
    await this.#replace(path, (at) => symlink(header.linkName, at));
    if (runsAsRoot()) await lchown(this.#at(path), header.uid, header.gid);
  }

  async #linkTarget(header: TarHeader): Promise<string[]> {
    const target = memberPath(header.linkName);
    await this.#enter(target.slice(0, -1));
    await this.#files.get(target.join('/'));
    return target;
  }

  async #putLink(path: string[], target: string[], header: TarHeader): Promise<void> {
    const found = await orVanished(lstat(this.#at(target)));
    if (!found?.isFile()) throw refused(header, `there is no file ${header.linkName} to link`);
    await this.#replace(path, (at) => link(this.#at(target), at));
  }

  /** Makes sure that every element is a real folder below the root, made here if need be. */
  async #enter(path: string[]): Promise<void> {
    if (this.#folders.has(path.join('/'))) return;
    for (let depth = 1; depth <= path.length; depth++) {
      const known = path.slice(0, depth).join('/');
      if (this.#folders.has(known)) continue;
      await this.#files.get(known);
      await this.#makeFolder(known);
      this.#folders.set(known, this.#folders.get(known));
    }
  }

  async #makeFolder(known: string): Promise<void> {
    const at = join(this.#options.root, known);
    try {
      await mkdir(at, PRIVATE_FOLDER);
    } catch (error) {
      // Another tar may have been quicker.
      if (!isExisting(error)) throw error;
      if (!(await lstat(at)).isDirectory()) {
        throw new CorruptError(`refusing tar entries below ${known}: it is not a folder`, { cause: error });
      }
    }
  }

  /** Makes a new file of any kind; an older one of that name goes, as a later entry of a tar wins. */
  async #replace<T>(path: string[], make: (at: string) => Promise<T>): Promise<T> {
    const at = this.#at(path);
    try {
      return await make(at);
    } catch (error) {
      if (!isExisting(error)) throw error;
      if ((await lstat(at)).isDirectory()) {
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
}

function refused({ name }: TarHeader, why: string): CorruptError {
  return new CorruptError(`refusing the tar entry ${JSON.stringify(name)}: ${why}`);
}

function isExisting(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}
