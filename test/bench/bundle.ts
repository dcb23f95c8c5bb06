// What the benchmarks run: the bundles of the image, not the sources, whose types Node would strip at each start.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { APP_FOLDER, buildImageFiles } from '../../build/image-files.ts';
import { launcher } from '../../build/programs.ts';

const REPOSITORY = dirname(dirname(import.meta.dirname));

/** Builds them below a folder; gives back what `/manager` is there, for createKubelet. */
export async function buildEntryPoint(folder: string): Promise<string> {
  const image = join(folder, 'image');
  await mkdir(image);
  await buildImageFiles(REPOSITORY, image, { os: process.platform, cpu: process.arch });
  const entryPoint = join(image, 'manager');
  await writeFile(entryPoint, launcher(process.execPath, join(image, APP_FOLDER)));
  return entryPoint;
}
