// The packages with native code, copied with all that they need and nothing for other platforms.
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NATIVE_PACKAGES } from './bundle.ts';
import { findDependency, type LockedPackage } from './lock.ts';

/** Platform as packages spell it: `linux-x64`. */
export type Platform = { os: string; cpu: string };

/** Sources, build tools and prebuilt files of others. */
const NEEDLESS =
  /\/(deps|src|test|tests|docs|example|examples|\.github)\/|\.(md|markdown|d\.ts|map|gyp|gypi|sh|cc|h|c|yml)$/;
const KEPT_ALWAYS = /\/(licen[cs]e|notice|copying)[^/]*$/i;

/** Copies them to `<folder>/node_modules`; returns what was copied. Throws when one has nothing for the platform. */
export async function copyNativePackages(
  root: string,
  folder: string,
  locked: ReadonlyMap<string, LockedPackage>,
  platform: Platform,
): Promise<LockedPackage[]> {
  // npm leaves out what is for other platforms, and locks it all the same.
  const wanted = withDependencies(locked, platform).filter(({ folder: place }) => existsSync(join(root, place)));
  for (const { folder: place } of wanted) {
    const target = join(folder, place);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(root, place), target, {
      recursive: true,
      filter: async (source) => (await stat(source)).isDirectory() || isNeeded(source.slice(root.length), platform),
    });
  }
  for (const name of NATIVE_PACKAGES) await assertNative(folder, name, wanted, platform);
  return wanted;
}

/** The packages and, as npm has put them, what they depend on. */
function withDependencies(locked: ReadonlyMap<string, LockedPackage>, platform: Platform): LockedPackage[] {
  const found = new Map<string, LockedPackage>();
  const visit = (one: LockedPackage | undefined) => {
    if (one === undefined || found.has(one.folder)) return;
    found.set(one.folder, one);
    for (const name of one.dependencies) visit(findDependency(locked, one.folder, name));
    for (const name of one.optionalDependencies) {
      if (name.includes(`${platform.os}-${platform.cpu}-gnu`)) visit(findDependency(locked, one.folder, name));
    }
  };
  for (const name of NATIVE_PACKAGES) visit(locked.get(`node_modules/${name}`));
  return [...found.values()];
}

function isNeeded(file: string, { os, cpu }: Platform): boolean {
  if (KEPT_ALWAYS.test(file)) return true;
  if (NEEDLESS.test(file.replace(/^.*node_modules/, ''))) return false;
  const [, prebuilt] = /\/prebuilds\/([^/]+)\//.exec(file) ?? [];
  return prebuilt === undefined || (prebuilt === `${os}-${cpu}` && !/\/electron\./.test(file));
}

/** A package has its native code itself, or in a package of its own for each platform. */
async function assertNative(folder: string, name: string, copied: readonly LockedPackage[], platform: Platform) {
  const own = copied.find(({ folder: place }) => place === `node_modules/${name}`);
  const places = copied.filter((one) => one === own || own?.optionalDependencies.includes(one.name));
  for (const { folder: place } of places) {
    const files = await readdir(join(folder, place), { recursive: true });
    if (files.some((file) => file.endsWith('.node'))) return;
  }
  const { os, cpu } = platform;
  throw new Error(`${name} is not there for ${os}-${cpu}: npm ci --os ${os} --cpu ${cpu} --libc glibc brings it`);
}
