// package-lock.json: what is installed where, and from where it came.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type LockedPackage = {
  /** Folder below the root: `node_modules/pg`. */
  folder: string;
  name: string;
  version: string;
  license: string | undefined;
  /** Of the registry's archive, as npm writes it: `sha512-…`. */
  integrity: string | undefined;
  dependencies: readonly string[];
  optionalDependencies: readonly string[];
};

/** The packages of a lock file by folder. */
export async function readLock(root: string): Promise<Map<string, LockedPackage>> {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'));
  const locked = new Map<string, LockedPackage>();
  for (const [folder, entry] of Object.entries<Record<string, unknown>>(packages)) {
    if (folder === '') continue;
    locked.set(folder, {
      folder,
      name: textOf(entry.name) ?? nameOf(folder),
      version: textOf(entry.version) ?? '',
      license: textOf(entry.license),
      integrity: textOf(entry.integrity),
      dependencies: Object.keys(entry.dependencies ?? {}),
      optionalDependencies: Object.keys(entry.optionalDependencies ?? {}),
    });
  }
  return locked;
}

/** The folder of the package that a file belongs to; undefined for a file of ours. */
export function packageFolderOf(file: string): string | undefined {
  const [, folder] = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)(?:\/|$)/.exec(file) ?? [];
  return folder;
}

/** Where a package finds another one: in itself, or in a folder above. */
export function findDependency(
  locked: ReadonlyMap<string, LockedPackage>,
  from: string,
  name: string,
): LockedPackage | undefined {
  for (let place = from; ; place = place.slice(0, place.lastIndexOf('/node_modules/'))) {
    const found = locked.get(`${place}/node_modules/${name}`);
    if (found !== undefined) return found;
    if (!place.includes('/node_modules/')) return locked.get(`node_modules/${name}`);
  }
}

function nameOf(folder: string): string {
  return folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
