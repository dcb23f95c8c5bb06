// Makes a restored PGDATA one that PostgreSQL starts from: folders it requires, links of tablespaces, `pg_wal` on its own
// volume, nothing stale (object-store-layout.md §8).
import {
  chmod,
  cp,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CorruptError } from '../../api/errors.ts';
import type { DoneEntry } from '../backup/catalog.ts';
import { orVanished } from '../backup/tree.ts';
import { assertOwnLabel } from './checks/label.ts';
import type { Placement } from './placement.ts';
import { HELD_BACK_SUFFIX } from './unpack.ts';

export const CONTROL_FILE = 'global/pg_control';

/** Required by PostgreSQL at start, and not always in a backup. */
const REQUIRED_FOLDERS = [
  'base',
  'global',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_multixact/members',
  'pg_multixact/offsets',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_xact',
];

/** Everything but the control file. Throws CorruptError when the backup lacks what a start needs, or its label is another's. */
export async function completeLayout(options: {
  pgdata: string;
  entry: DoneEntry;
  tablespaces: readonly Placement[];
  /** Where `pg_wal` goes; undefined: it stays in PGDATA. */
  walDestination: string | undefined;
}): Promise<void> {
  const { pgdata, entry, tablespaces, walDestination } = options;
  for (const needed of ['PG_VERSION', `${CONTROL_FILE}${HELD_BACK_SUFFIX}`]) {
    const found = await orVanished(lstat(join(pgdata, needed)));
    if (!found?.isFile()) throw new CorruptError(`the backup holds no ${needed.replace(HELD_BACK_SUFFIX, '')}`);
  }
  for (const folder of REQUIRED_FOLDERS) await requireFolder(pgdata, folder);
  await ensureLabel(pgdata, entry);
  // A map that was archived by accident describes another backup: PostgreSQL would make its links.
  await rm(join(pgdata, 'tablespace_map'), { force: true });
  for (const { oid, path, inPlace } of tablespaces) {
    if (inPlace) continue;
    const at = join(pgdata, 'pg_tblspc', String(oid));
    await rm(at, { recursive: true, force: true });
    await symlink(path, at);
  }
  if (walDestination !== undefined) await moveWal(join(pgdata, 'pg_wal'), walDestination);
  for (const folder of ['pg_tblspc', '.']) await syncPath(join(pgdata, folder));
}

/** A link in its place goes: what we do below it would be done elsewhere. */
async function requireFolder(pgdata: string, folder: string): Promise<void> {
  let at = pgdata;
  for (const element of folder.split('/')) {
    at = join(at, element);
    const found = await orVanished(lstat(at));
    if (found?.isDirectory()) continue;
    if (found !== undefined) await unlink(at);
    await mkdir(at, { mode: 0o700 });
  }
}

/** The last step: with its control file the folder is one that PostgreSQL takes for whole. */
export async function releaseControlFile(pgdata: string): Promise<void> {
  const at = join(pgdata, CONTROL_FILE);
  await rename(`${at}${HELD_BACK_SUFFIX}`, at);
  await syncPath(dirname(at));
}

/** Without its label PostgreSQL would start from a wrong checkpoint, and with damaged data. */
async function ensureLabel(pgdata: string, entry: DoneEntry): Promise<void> {
  const at = join(pgdata, 'backup_label');
  const found = await orVanished(lstat(at));
  if (found?.isFile()) {
    assertOwnLabel(await readFile(at, 'utf8'), entry);
    return;
  }
  if (found !== undefined) throw new CorruptError('the backup_label of the backup is no file');
  const { backupLabel } = entry.info;
  if (backupLabel === undefined) throw new CorruptError('the backup holds no backup_label');
  assertOwnLabel(backupLabel, entry);
  await writeFile(at, backupLabel, { mode: 0o600, flush: true });
}

/** Moves by copy: the volumes differ. */
async function moveWal(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  await chmod(to, 0o700);
  for (const name of await readdir(from)) {
    await cp(join(from, name), join(to, name), { recursive: true, preserveTimestamps: true });
    await syncPath(join(to, name));
  }
  await rm(from, { recursive: true });
  await symlink(to, from);
  await syncPath(to);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
