// Archives the next ready files while PostgreSQL still asks for one after the other (cnpg-i-contract.md §5.2). What was
// archived ahead is remembered in this process only: after a restart the store decides.
import { access, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../api/errors.ts';
import { parseWalName } from '../../api/wal-name.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Archive } from '../store/archive.ts';

/** Archives one file as if it had been asked for. */
export type ArchiveOne = (sourceFile: string) => Promise<void>;

type Finished = { sourceFile: string; storage: Archive['storage']; identity: string };
type Plan = { archive: Archive; names: string[]; folder: string; most: number; archiveOne: ArchiveOne };

/**
 * Files archived ahead of their request. At most `maxParallel` are in flight, the requested one among them, and at most
 * twice as many are ahead. One that fails is left to its own request, which reports the reason.
 */
export class LookAhead {
  readonly #log: Log;
  readonly #running = new Map<string, Promise<void>>();
  readonly #finished = new Map<string, Finished>();
  readonly #failed = new Map<string, string>();
  #plan: Plan | undefined;
  #stopped = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Whether this very file (size, time, inode) was archived ahead with this very store; it is forgotten then. Settings or
   * secrets that changed meanwhile make it another store.
   */
  async claim(archive: Archive, sourceFile: string): Promise<boolean> {
    const key = keyOf(archive, sourceFile);
    this.#failed.delete(key);
    const finished = this.#finished.get(key);
    this.#finished.delete(key);
    if (finished === undefined || finished.storage !== archive.storage) return false;
    return finished.identity === (await identityOf(sourceFile));
  }

  /** Whether the file is being archived ahead. */
  isRunning(archive: Archive, sourceFile: string): boolean {
    return this.#running.has(keyOf(archive, sourceFile));
  }

  /**
   * Goes ahead of a requested file, in the background; `ready` are the names that wait, as `readReady` tells them. Never
   * throws. Call only once the archive is known to be ours.
   */
  fill(archive: Archive, requested: string, ready: readonly string[], archiveOne: ArchiveOne): void {
    const most = archive.objectStore.spec.configuration.wal?.maxParallel ?? 1;
    if (most === 1) return;
    const folder = dirname(requested);
    this.#forgetGone(folder, new Set(ready));
    const names = ready.filter((name) => name !== basename(requested)).slice(0, 2 * most);
    this.#plan = { archive, names, folder, most, archiveOne };
    this.#pump();
  }

  /** Starts nothing any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when nothing is in flight any more. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  #pump(): void {
    const plan = this.#plan;
    if (plan === undefined || this.#stopped) return;
    while (this.#running.size < plan.most - 1 && this.#running.size + this.#finished.size < 2 * plan.most) {
      const name = plan.names.shift();
      if (name === undefined) return;
      const sourceFile = join(plan.folder, name);
      const key = keyOf(plan.archive, sourceFile);
      if (this.#running.has(key) || this.#finished.has(key) || this.#failed.has(key)) continue;
      const work = this.#goAhead(plan, key, sourceFile).finally(() => {
        this.#running.delete(key);
        this.#pump();
      });
      this.#running.set(key, work);
    }
  }

  async #goAhead({ archive, archiveOne }: Plan, key: string, sourceFile: string): Promise<void> {
    try {
      if (!(await isReady(sourceFile))) return;
      const identity = await identityOf(sourceFile);
      await archiveOne(sourceFile);
      // Who asked for it meanwhile has joined in and has been answered.
      if (await isReady(sourceFile)) this.#finished.set(key, { sourceFile, storage: archive.storage, identity });
    } catch (error) {
      this.#failed.set(key, sourceFile);
      this.#log.info(`${basename(sourceFile)} was not archived ahead: ${messageOf(error)}`);
    }
  }

  #forgetGone(folder: string, ready: ReadonlySet<string>): void {
    const gone = (sourceFile: string) => dirname(sourceFile) === folder && !ready.has(basename(sourceFile));
    for (const [key, { sourceFile }] of this.#finished) if (gone(sourceFile)) this.#finished.delete(key);
    for (const [key, sourceFile] of this.#failed) if (gone(sourceFile)) this.#failed.delete(key);
  }
}

/** Names that wait in the `archive_status` beside a file; none where there is no such folder. */
export async function readReady(sourceFile: string): Promise<string[]> {
  try {
    return readyNames(await readdir(join(dirname(sourceFile), 'archive_status')));
  } catch {
    // A copy of a segment outside pg_wal, or a folder that may not be read: nothing is known to wait.
    return [];
  }
}

/** WAL files of `archive_status` that wait, in the order in which PostgreSQL asks: history files first, then by name. */
export function readyNames(entries: readonly string[]): string[] {
  const isHistory = (name: string) => name.endsWith('.history');
  return entries
    .filter((entry) => entry.endsWith('.ready'))
    .map((entry) => entry.slice(0, -'.ready'.length))
    .filter((name) => parseWalName(name) !== undefined)
    .sort((a, b) => Number(isHistory(b)) - Number(isHistory(a)) || (a < b ? -1 : 1));
}

function keyOf(archive: Archive, sourceFile: string): string {
  return `${archive.location}\n${sourceFile}`;
}

async function isReady(sourceFile: string): Promise<boolean> {
  const ready = join(dirname(sourceFile), 'archive_status', `${basename(sourceFile)}.ready`);
  return access(ready).then(
    () => true,
    () => false,
  );
}

async function identityOf(sourceFile: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(sourceFile, { bigint: true });
  return [size, mtimeNs, ino].join(' ');
}
