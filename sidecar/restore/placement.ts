// Where the trees of a backup go on this machine. Pure.
//
// | tablespace                                              | goes to                                             |
// |---------------------------------------------------------|-----------------------------------------------------|
// | `--tablespace NAME:LOCATION` (restoreAdditionalCommandArgs) | LOCATION                                         |
// | in `spec.tablespaces` of the Cluster                    | its volume: `<tablespaces folder>/NAME/data`        |
// | neither                                                 | where it was; a relative place is one below PGDATA  |
import { isAbsolute, join } from 'node:path';
import { InvalidInputError } from '../../api/errors.ts';
import type { Cluster } from '../../api/kube.ts';
import type { BackupInfo } from '../backup/info.ts';
import { memberPath } from './member-path.ts';

export type Placement = {
  oid: number;
  name: string;
  path: string;
  /** It lies below `pg_tblspc` itself, and needs no link there (`allow_in_place_tablespaces`). */
  inPlace: boolean;
};

/** Throws InvalidInputError for a LOCATION that is relative, or given to a tablespace that the backup does not have. */
export function placeTablespaces(options: {
  info: BackupInfo;
  cluster: Cluster;
  /** From the options of the ObjectStore, by name. */
  relocations: Record<string, string>;
  pgdata: string;
  tablespacesFolder: string;
}): Placement[] {
  const { info, cluster, relocations, pgdata, tablespacesFolder } = options;
  const tablespaces = info.tablespaces ?? [];
  for (const [name, location] of Object.entries(relocations)) {
    if (!tablespaces.some((tablespace) => tablespace.name === name)) {
      const known = tablespaces.length === 0 ? 'none' : tablespaces.map((tablespace) => tablespace.name).join(', ');
      throw new InvalidInputError(
        '--tablespace',
        `${name}:${location}`,
        `the backup has no such tablespace, it has ${known}`,
      );
    }
    if (!isAbsolute(location))
      throw new InvalidInputError('--tablespace', `${name}:${location}`, 'write an absolute path');
  }
  const own = new Set(cluster.spec.tablespaces?.map(({ name }) => name));
  return tablespaces.map(({ name, oid, location }) => {
    const relocated = Object.hasOwn(relocations, name) ? relocations[name] : undefined;
    const chosen = relocated ?? (own.has(name) ? join(tablespacesFolder, name, 'data') : location);
    if (isAbsolute(chosen)) return { oid, name, path: chosen, inPlace: false };
    return { oid, name, path: join(pgdata, ...memberPath(chosen)), inPlace: true };
  });
}
