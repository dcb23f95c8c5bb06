// Which files of a data folder hold pages with checksums, and of which relation. Pure.

export const FORKS = ['main', 'fsm', 'vm', 'init'] as const;
export type Fork = (typeof FORKS)[number];

/** `relation` is the path without fork and segment, as pg_relation_filepath() tells it. */
export type RelationFile = { relation: string; fork: Fork; segment: number };

/**
 * Digits only for the name, with fork and segment, right inside `global`, a database's folder, or that of a database in
 * a tablespace. So no temporary relation (`t3_16384`), no pg_control, pg_filenode.map, pg_internal.init or PG_VERSION.
 */
const RELATION_FILE =
  /^(?:\.\/)?((?:global|base\/\d+|(?:pg_tblspc\/\d+\/)?PG_\d+_\d+\/\d+)\/[1-9]\d{0,9})(?:_(fsm|vm|init))?(?:\.([1-9]\d{0,9}))?$/;

/** Whether pg_basebackup would verify the pages of this file. The path is relative to PGDATA or to a tablespace. */
export function isRelationFile(path: string): boolean {
  return RELATION_FILE.test(path);
}

/** Undefined when it is no file of a relation. */
export function parseRelationFile(path: string): RelationFile | undefined {
  const match = RELATION_FILE.exec(path);
  if (match?.[1] === undefined) return undefined;
  const fork = FORKS.find((known) => known === match[2]) ?? 'main';
  return { relation: match[1], fork, segment: Number(match[3] ?? 0) };
}
