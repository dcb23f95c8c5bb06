// Compiles the page check (assembly/index.as, AssemblyScript) to pages.wasm, which is checked in: `npm run wasm`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileAssembly } from '../../stream/assembly-script.ts';

/** The module that is checked in beside this file. */
export const MODULE_PATH = join(import.meta.dirname, 'pages.wasm');

/** The module as the source says, not written anywhere. Throws with the compiler's messages. */
export function compilePages(): Promise<Uint8Array> {
  return compileAssembly(join(import.meta.dirname, 'assembly'));
}

if (process.argv[1] === import.meta.filename) await writeFile(MODULE_PATH, await compilePages());
