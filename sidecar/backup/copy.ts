// From the data folder into tars: tablespaces first, then PGDATA with the control file, then, once PostgreSQL has ended
// the backup, its label as the very last entry (object-store-layout.md §5.3).
import { realpath, stat } from 'node:fs/promises';
import { basename, isAbsolute, join, relative } from 'node:path';
import type { Archive } from '../store/archive.ts';
import { dataRules, type TreeRules, tablespaceRules } from './exclusions.ts';
import type { PageChecker } from './page-checksums/page-checker.ts';
import type { PageChecks } from './page-checksums/page-checks.ts';
import type { Progress } from './progress.ts';
import { readAhead } from './read-ahead.ts';
import type { ServerFacts } from './source.ts';
import type { AddFileOptions, TarWriter } from './tar.ts';
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
  /** A tar of which so much has left goes on in another one. */
  splitBytes: number;
  pgdata: string;
  facts: ServerFacts;
  /** Verifies pages on their way, where the cluster has checksums. */
  pageChecks: PageChecks | undefined;
  progress: Progress;
};

/** Prepares a copy; nothing is opened before `copyTrees`. */
export function prepareCopy(plan: CopyPlan): Copy {
  const { id, archive, target, facts, pageChecks, progress } = plan;
  const { signal, codec } = target;
  const tars: StoredTar[] = [];
  const seconds = new Map<string, number>();
  let startedMs = 0;
  let open: TarSeries | undefined;
  let root = plan.pgdata;

  const openSeries = (keyOf: (part: number) => string): TarSeries => {
    startedMs = performance.now();
    open = openTarSeries(target, keyOf, plan.splitBytes);
    return open;
  };
  /** `place`: where the folder is in PGDATA, with its final slash; empty for PGDATA itself. */
  const addTree = async (series: TarSeries, folder: string, rules: TreeRules, place: string) => {
    for await (const { entry, opened } of readAhead(walkTree(folder, rules, signal))) {
      if (entry.path === '' && place !== '') continue;
      const checker = entry.kind === 'file' ? pageChecks?.checkerFor(`${place}${entry.path}`, entry.source) : undefined;
      await addEntry(series, entry, opened ?? entry.source, progress, checker);
    }
  };
  const copyTablespaces = async (): Promise<void> => {
    const rules = tablespaceRules(Math.floor(facts.version / 10_000));
    for (const { oid } of facts.tablespaces) {
      const series = openSeries((part) => archive.keys.tablespace(id, String(oid), part, codec.suffix));
      const place = `pg_tblspc/${oid}/`;
      // Dropped since PostgreSQL named it: an empty tar, and WAL replay drops it again.
      const folder = await orVanished(realpath(join(root, place)));
      if (folder !== undefined) await addTree(series, folder, rules, place);
      tars.push(...(await series.finish()));
      seconds.set(String(oid), (performance.now() - startedMs) / 1000);
    }
  };
  return {
    copyTrees: async () => {
      root = await realpath(plan.pgdata);
      await copyTablespaces();
      const series = openSeries((part) => archive.keys.data(id, part, codec.suffix));
      await addTree(series, root, dataRules(await treesInside(root, facts)), '');
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

type FileToAdd = Parameters<TarWriter['addFile']>[1];

async function addEntry(
  series: TarSeries,
  entry: TreeEntry,
  source: FileToAdd,
  progress: Progress,
  checker: PageChecker | undefined,
): Promise<void> {
  // Names as barman spells them: `./` for the root and for files right below it, no `./` deeper.
  const name = entry.path.includes('/') || entry.kind === 'folder' ? entry.path || '.' : `./${entry.path}`;
  if (entry.kind === 'folder') await series.add((tar) => tar.addFolder(name, entry.stats));
  else if (entry.kind === 'symlink') await series.add((tar) => tar.addSymlink(name, entry.target, entry.stats));
  else await addFile(series, name, source, progress, false, checker?.inspect);
}

async function addFile(
  series: TarSeries,
  name: string,
  source: FileToAdd,
  progress: Progress,
  needed: boolean,
  inspect?: AddFileOptions['inspect'],
): Promise<void> {
  const options = inspect === undefined ? {} : { inspect };
  const sizeBytes = await series.add((tar) => tar.addFile(name, source, options));
  if (sizeBytes !== undefined) progress.add(sizeBytes, 1);
  else if (needed) throw new Error(`${name} is needed for the backup, but is not there`);
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
