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
  /** Part 0 is `data.tar<suffix>`, part 1 `data_0001.tar<suffix>`. */
  data(id: string, part: number, suffix: string): string;
  /** Part 0 is `<oid>.tar<suffix>`, part 1 `<oid>_0001.tar<suffix>`. */
  tablespace(id: string, oid: string, part: number, suffix: string): string;
  /**
   * Both spellings of the keep annotation, each once. Barman joins it without looking for a trailing slash of the
   * prefix; the first one is what barman spells for the configured URL: write that, read both.
   */
  keepAnnotations(id: string): string[];
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
    data: (id, part, suffix) => `${backup(id)}data${partSuffix(part)}.tar${suffix}`,
    tablespace: (id, oid, part, suffix) => `${backup(id)}${oid}${partSuffix(part)}.tar${suffix}`,
    keepAnnotations: (id) => {
      const rest = `${serverName}/base/${id}/annotations/keep`;
      if (trimmed === '') return [rest];
      const plain = `${trimmed}/${rest}`;
      const doubled = `${trimmed}//${rest}`;
      return prefix.endsWith('/') ? [doubled, plain] : [plain, doubled];
    },
  };
}

function partSuffix(part: number): string {
  return part === 0 ? '' : `_${String(part).padStart(4, '0')}`;
}
