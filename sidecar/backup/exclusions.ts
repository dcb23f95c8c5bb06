// What of a data folder belongs in a base backup (object-store-layout.md §5.4, in its correct form). Pure.

/** `take`: with its content; `empty`: the folder without its content; `skip`: neither. */
export type Verdict = 'take' | 'empty' | 'skip';

export type TreeRules = (path: string, kind: 'folder' | 'file') => Verdict;

/** Folders of PGDATA that PostgreSQL needs but whose content must not be restored, or is somebody's log. */
const EMPTY_FOLDERS = new Set([
  'pg_wal',
  'pg_xlog',
  'log',
  'pg_log',
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
]);

/** Files in the root of PGDATA that the backup writes itself, or that would describe another backup. */
const OWN_FILES = new Set(['backup_label', 'tablespace_map', 'backup_manifest', 'global/pg_control']);

const TRANSIENT_FILES = new Set([
  'postgresql.auto.conf.tmp',
  'current_logfiles.tmp',
  'postmaster.pid',
  'postmaster.opts',
  'recovery.conf',
  'standby.signal',
]);

/** A relation of a temporary table: `base/5/t3_16384`, `base/5/t3_16384_vm.1`. */
const TEMPORARY_RELATION = /(^|\/)\d+\/t\d+_\d+(_(fsm|vm|init))?(\.\d+)?$/;

/** Rules for PGDATA. `otherTrees`: paths inside it that are stored elsewhere (tablespaces), pruned as a whole. */
export function dataRules(otherTrees: readonly string[]): TreeRules {
  const pruned = new Set(otherTrees);
  return (path, kind) => {
    if (pruned.has(path) || isTransient(path)) return 'skip';
    if (kind === 'folder') return EMPTY_FOLDERS.has(path) ? 'empty' : 'take';
    return OWN_FILES.has(path) ? 'skip' : 'take';
  };
}

/** Rules for a tablespace: only the folder of this major version, `PG_18_202506291`; other versions share the place. */
export function tablespaceRules(majorVersion: number): TreeRules {
  const folder = new RegExp(`^PG_${majorVersion}_\\d+$`);
  return (path) => {
    const [top = ''] = path.split('/', 1);
    return folder.test(top) && !isTransient(path) ? 'take' : 'skip';
  };
}

function isTransient(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return (
    name.startsWith('pgsql_tmp') ||
    name.startsWith('pg_internal.init') ||
    TRANSIENT_FILES.has(name) ||
    TEMPORARY_RELATION.test(path)
  );
}
