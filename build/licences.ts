// THIRD-PARTY-LICENSES: the licence of everything that is inside, word for word.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LockedPackage } from './lock.ts';

const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\b|[-_.])/i;
const RULE = '='.repeat(80);

/** The text for packages below a root. A package without a licence file is told by the name of its licence. */
export async function thirdPartyLicences(root: string, packages: readonly LockedPackage[]): Promise<string> {
  const sections = await Promise.all(byName(packages).map((one) => sectionOf(root, one)));
  const introduction = 'Cellar is under the Apache License 2.0 (LICENSE). It contains the following packages.';
  return [introduction, ...sections].join(`\n\n${RULE}\n`);
}

async function sectionOf(root: string, { folder, name, version, license }: LockedPackage): Promise<string> {
  const files = (await readdir(join(root, folder))).filter((file) => LICENCE_FILE.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(root, folder, file), 'utf8').catch(() => '')));
  const said = texts.filter((text) => text !== '').map((text) => text.trim());
  const head = `${name} ${version} (${license ?? 'licence not named'})`;
  return [head, ...(said.length === 0 ? ['The package holds no licence file.'] : said)].join('\n\n');
}

function byName(packages: readonly LockedPackage[]): LockedPackage[] {
  return [...packages].sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1));
}
