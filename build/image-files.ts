// Everything that the image holds beside its base and the runtime, in one folder as it lies below `/`.
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundlePrograms } from './bundle.ts';
import { thirdPartyLicences } from './licences.ts';
import { packageFolderOf, readLock } from './lock.ts';
import { copyNativePackages, type Platform } from './native.ts';
import { launcher } from './programs.ts';
import { billOfMaterials } from './sbom.ts';

/** Where the runtime is in the image. */
export const RUNTIME = '/usr/local/bin/node';
/** Where the bundles are in the image. */
export const APP_FOLDER = '/app';

/**
 * Builds from the sources and installed packages at `root` into `folder`, which is emptied first: `manager`, `app/`,
 * LICENSE, THIRD-PARTY-LICENSES and sbom.cdx.json. Returns the sizes of the bundles, bytes.
 */
export async function buildImageFiles(root: string, folder: string, platform: Platform): Promise<Map<string, number>> {
  const app = join(folder, APP_FOLDER);
  await rm(folder, { recursive: true, force: true });
  await mkdir(app, { recursive: true });
  const made = await bundlePrograms(root, app);
  const locked = await readLock(root);
  const native = await copyNativePackages(root, app, locked, platform);
  const bundled = new Set<string>();
  for (const { inputs } of made.values()) {
    for (const file of Object.keys(inputs)) {
      const place = packageFolderOf(file);
      if (place !== undefined) bundled.add(place);
    }
  }
  const packages = [...new Set([...[...bundled].flatMap((place) => locked.get(place) ?? []), ...native])];
  const product = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const runtime = { name: 'node', version: product.devDependencies.node };
  const bill = billOfMaterials(product, runtime, packages);
  await writeFile(join(folder, 'sbom.cdx.json'), `${JSON.stringify(bill, undefined, 2)}\n`);
  await writeFile(join(folder, 'THIRD-PARTY-LICENSES'), `${await thirdPartyLicences(root, packages)}\n`);
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  await writeFile(join(app, 'package.json'), '{ "type": "module" }\n');
  await writeFile(join(folder, 'manager'), launcher(RUNTIME, APP_FOLDER));
  await chmod(join(folder, 'manager'), 0o755);
  return sizesOf(made);
}

function sizesOf(made: Awaited<ReturnType<typeof bundlePrograms>>): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [name, { outputs }] of made) {
    const files = Object.entries(outputs).filter(([file]) => file.endsWith('.js'));
    sizes.set(
      name,
      files.reduce((sum, [, { bytes }]) => sum + bytes, 0),
    );
  }
  return sizes;
}
