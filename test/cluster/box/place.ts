// What the daemon is told by its environment: the name of its network namespace, and the folder of all state.
import { join } from 'node:path';

export const name = required('CELLAR_BOX_NAME');
const folder = required('CELLAR_BOX_FOLDER');
/** A JSON file: what stands for which image. */
export const imagesFile = required('CELLAR_BOX_IMAGES');

export const inState = (...parts: string[]): string => join(folder, ...parts);

function required(variable: string): string {
  const value = process.env[variable];
  if (value) return value;
  throw new Error(`${variable} is missing: this is started by test/cluster/box/box.ts`);
}
