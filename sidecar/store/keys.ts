// The only file that spells a key (object-store-layout.md §1.2, §2.2, §5.1). Pure.
import { InvalidInputError } from '../../api/errors.ts';
import { hashDirectory, type WalName } from '../../api/wal-name.ts';

export { parseDestination } from './destination.ts';

/** Where the objects of one server are. All folders end in `/`. `suffix` is a codec's: `.gz`, or empty. */
export type ServerKeys = {
  /** `<prefix>/<server>/` */
  server: string;
  /** `<prefix>/<server>/wals/` */
  wals: string;
  /** `<prefix>/<server>/base/` */
  base: string;
  wal(name: WalName, suffix: string): string;
  /** The folder that holds a WAL file: `wals/` itself for history files. */
  walFolder(name: WalName): string;
  /** `<prefix>/<server>/base/<id>/` */
  backup(id: string): string;
  backupInfo(id: string): string;
  /** Our own record of a backup; the barman tools ignore what is in this folder. */
  manifest(id: string): string;
  /** Part 0 is `data.tar<suffix>`, part 1 `data_0001.tar<suffix>`. */
  data(id: string, part: number, suffix: string): string;
  /** Part 0 is `<oid>.tar<suffix>`, part 1 `<oid>_0001.tar<suffix>`. */
  tablespace(id: string, oid: string, part: number, suffix: string): string;
  /** `full` or `standalone` in it keeps the backup from the retention policy. */
  keepAnnotation(id: string): string;
  /** What a deletion that has begun leaves in a backup's folder until everything else is gone. */
  deletionMarker(id: string): string;
  /**
   * Where a listing shows the annotations that barman writes under a destination with a trailing slash: it joins them
   * as `<prefix>//<server>/base/<id>/annotations/…`. Some stores and policies refuse such a key in a request, so it is
   * looked for in the answer only. Undefined without a prefix.
   */
  doubled: DoubledKeys | undefined;
};

export type DoubledKeys = {
  /** List below this, from `startAfter` on: what is doubled comes first. */
  prefix: string;
  startAfter: string;
  /** Keys that are doubled begin with it. */
  folder: string;
  /** The backup that a doubled key keeps; undefined for any other key. */
  keptBackup(key: string): string | undefined;
};

/**
 * The keys of a server. A prefix with a trailing slash and one without are the same place; a part inside the prefix is
 * kept as written. Throws InvalidInputError for a server name that would not be its own folder.
 */
export function serverKeys(prefix: string, serverName: string): ServerKeys {
  if (serverName === '' || serverName.startsWith('/') || serverName.endsWith('/')) {
    throw new InvalidInputError('serverName', serverName, 'write a name without a slash at either end');
  }
  const trimmed = prefix.replace(/\/+$/, '');
  const folder = trimmed === '' ? '' : `${trimmed}/`;
  const server = `${folder}${serverName}/`;
  const wals = `${server}wals/`;
  const base = `${server}base/`;
  const walFolder = (name: WalName) => {
    const directory = hashDirectory(name);
    return directory === undefined ? wals : `${wals}${directory}/`;
  };
  const backup = (id: string) => `${base}${id}/`;
  return {
    server,
    wals,
    base,
    walFolder,
    wal: (name, suffix) => `${walFolder(name)}${name.name}${suffix}`,
    backup,
    backupInfo: (id) => `${backup(id)}backup.info`,
    manifest: (id) => `${backup(id)}annotations/cellar.json`,
    data: (id, part, suffix) => `${backup(id)}data${partSuffix(part)}.tar${suffix}`,
    tablespace: (id, oid, part, suffix) => `${backup(id)}${oid}${partSuffix(part)}.tar${suffix}`,
    keepAnnotation: (id) => `${backup(id)}annotations/keep`,
    deletionMarker: (id) => `${backup(id)}annotations/cellar-deleting`,
    doubled: folder === '' ? undefined : doubledKeys(folder, serverName),
  };
}

/** A dot is the last character before a slash. */
function doubledKeys(folder: string, serverName: string): DoubledKeys {
  const base = `${folder}/${serverName}/base/`;
  const keptBackup = (key: string) => {
    const id = /^([^/]+)\/annotations\/keep$/.exec(key.slice(base.length))?.[1];
    return key.startsWith(base) ? id : undefined;
  };
  return { prefix: folder, startAfter: `${folder}.~`, folder: `${folder}/`, keptBackup };
}

function partSuffix(part: number): string {
  return part === 0 ? '' : `_${String(part).padStart(4, '0')}`;
}
