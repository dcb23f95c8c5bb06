// Walks a data folder as a stream, parents before children, while PostgreSQL goes on changing it.
import type { Stats } from 'node:fs';
import { lstat, opendir, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TreeRules } from './exclusions.ts';

export type TreeEntry = {
  /** Relative to the root, `/` between names; empty for the root itself. */
  path: string;
  /** Where it is on this machine. */
  source: string;
  stats: Stats;
} & ({ kind: 'folder' | 'file' } | { kind: 'symlink'; target: string });

/**
 * Everything below a folder that the rules let through, in the order of the file system; the root first. What vanishes
 * while we look is left out; sockets and pipes are left out; a symbolic link to a folder is neither stored nor
 * followed, as barman does (`pg_wal` on its own volume, `pg_tblspc`). One open folder for each level of depth.
 */
export async function* walkTree(root: string, rules: TreeRules, signal: AbortSignal): AsyncGenerator<TreeEntry> {
  yield { path: '', source: root, stats: await stat(root), kind: 'folder' };
  yield* walkFolder(root, '', rules, signal);
}

async function* walkFolder(
  folder: string,
  path: string,
  rules: TreeRules,
  signal: AbortSignal,
): AsyncGenerator<TreeEntry> {
  const entries = await orVanished(opendir(folder));
  if (entries === undefined) return;
  for await (const { name } of entries) {
    signal.throwIfAborted();
    const below = path === '' ? name : `${path}/${name}`;
    const source = join(folder, name);
    const stats = await orVanished(lstat(source));
    if (stats === undefined) continue;
    if (stats.isDirectory()) {
      const verdict = rules(below, 'folder');
      if (verdict === 'skip') continue;
      yield { path: below, source, stats, kind: 'folder' };
      if (verdict === 'take') yield* walkFolder(source, below, rules, signal);
    } else if (rules(below, 'file') === 'take') {
      if (stats.isFile()) yield { path: below, source, stats, kind: 'file' };
      else if (stats.isSymbolicLink()) yield* symlink(below, source, stats);
    }
  }
}

async function* symlink(path: string, source: string, stats: Stats): AsyncGenerator<TreeEntry> {
  const end = await orVanished(stat(source));
  if (end?.isDirectory()) return;
  const target = await orVanished(readlink(source));
  if (target !== undefined) yield { path, source, stats, kind: 'symlink', target };
}

/** The result, or undefined when the file is gone. */
export async function orVanished<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
