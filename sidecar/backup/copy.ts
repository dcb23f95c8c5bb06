// From the data folder into tars: tablespaces first, then PGDATA with the control file, then, once PostgreSQL has ended
// the backup, its label as the very last entry (object-store-layout.md §5.3).
import { realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, relative } from 'node:path';
import type { Archive } from '../store/archive.ts';
import { dataRules, type TreeRules, tablespaceRules } from './exclusions.ts';
import type { Progress } from './progress.ts';
import type { ServerFacts } from './source.ts';
import type { StoredTar, TarTarget } from './tar-object.ts';
import { openTarSeries, type TarSeries } from './tar-series.ts';
import { orVanished, type TreeEntry, walkTree } from './tree.ts';

export type Copy = {
  /** Everything but the label. PGDATA's tar stays open. */
  copyTrees(): Promise<void>;
  /** Adds the label and waits until the store has confirmed the last tar. */
  finish(label: string): Promise<Copied>;
  /** Gives up what is open and waits for it. Never throws. */
  abandon(error: Error): Promise<void>;
};

/** All tars, and the seconds that each tree took (`data`, or the OID of a tablespace). */
export type Copied = { tars: StoredTar[]; seconds: Map<string, number> };

export type CopyPlan = {
  id: string;
  archive: Archive;
  target: TarTarget;
  maxArchiveBytes: number;
  pgdata: string;
  facts: ServerFacts;
  progress: Progress;
};

/** Prepares a copy; nothing is opened before `copyTrees`. */
export function prepareCopy(plan: CopyPlan): Copy {
  const { id, archive, target, facts, progress } = plan;
  const { signal, codec } = target;
  const tars: StoredTar[] = [];
  const seconds = new Map<string, number>();
  let startedMs = 0;
  let open: TarSeries | undefined;
  let root = plan.pgdata;

  const openSeries = (keyOf: (part: number) => string): TarSeries => {
    startedMs = performance.now();
    open = openTarSeries(target, keyOf, plan.maxArchiveBytes);
    return open;
  };
  const addTree = async (series: TarSeries, folder: string, rules: TreeRules, withRoot: boolean) => {
    for await (const entry of walkTree(folder, rules, signal)) {
      if (entry.path !== '' || withRoot) await addEntry(series, entry, progress);
    }
  };
  const copyTablespaces = async (): Promise<void> => {
    const rules = tablespaceRules(Math.floor(facts.version / 10_000));
    for (const { oid } of facts.tablespaces) {
      const series = openSeries((part) => archive.keys.tablespace(id, String(oid), part, codec.suffix));
      await addTree(series, await realpath(join(root, 'pg_tblspc', String(oid))), rules, false);
      tars.push(...(await series.finish()));
      seconds.set(String(oid), (performance.now() - startedMs) / 1000);
    }
  };
  return {
    copyTrees: async () => {
      root = await realpath(plan.pgdata);
      await copyTablespaces();
      const series = openSeries((part) => archive.keys.data(id, part, codec.suffix));
      await addTree(series, root, dataRules(await treesInside(root, facts)), true);
      await addFile(series, 'global/pg_control', join(root, 'global/pg_control'), progress, true);
      for (const { path, mayBeAbsent } of externalFiles(facts)) {
        await addFile(series, basename(path), path, progress, !mayBeAbsent);
      }
    },
    finish: async (label) => {
      if (open === undefined) throw new Error('the label was given before the trees were copied');
      const { uid, gid } = await stat(root);
      const owner = { uid, gid, mode: 0o600, mtimeMs: Date.now() };
      await open.add((tar) => tar.addBytes('backup_label', Buffer.from(label), owner));
      tars.push(...(await open.finish()));
      seconds.set('data', (performance.now() - startedMs) / 1000);
      return { tars, seconds };
    },
    abandon: async (error) => open?.abandon(error),
  };
}

async function addEntry(series: TarSeries, entry: TreeEntry, progress: Progress): Promise<void> {
  // Names as barman spells them: `./` for the root and for files right below it, no `./` deeper.
  const name = entry.path.includes('/') || entry.kind === 'folder' ? entry.path || '.' : `./${entry.path}`;
  if (entry.kind === 'folder') await series.add((tar) => tar.addFolder(name, entry.stats));
  else if (entry.kind === 'symlink') await series.add((tar) => tar.addSymlink(name, entry.target, entry.stats));
  else await addFile(series, name, entry.source, progress, false);
}

async function addFile(
  series: TarSeries,
  name: string,
  source: string,
  progress: Progress,
  needed: boolean,
): Promise<void> {
  const sizeBytes = await series.add((tar) => tar.addFile(name, source));
  if (sizeBytes !== undefined) progress.add(sizeBytes, 1);
  else if (needed) throw new Error(`${source} is needed for the backup, but is not there`);
}

/** Tablespaces that lie inside PGDATA: they have tars of their own. */
async function treesInside(root: string, facts: ServerFacts): Promise<string[]> {
  const inside: string[] = [];
  for (const { location } of facts.tablespaces) {
    const path = relative(root, (await orVanished(realpath(location))) ?? location);
    if (path !== '' && !path.startsWith('..') && !isAbsolute(path)) inside.push(path);
  }
  return inside;
}

/** Configuration files outside PGDATA go to its root under their base name. */
function externalFiles(facts: ServerFacts): { path: string; mayBeAbsent: boolean }[] {
  return [
    { path: facts.configFile, mayBeAbsent: false },
    { path: facts.hbaFile, mayBeAbsent: false },
    { path: facts.identFile, mayBeAbsent: true },
  ].filter(({ path }) => relative(facts.pgdata, path).startsWith('..'));
}
