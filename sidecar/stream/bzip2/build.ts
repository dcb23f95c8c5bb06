// Compiles the block coder (assembly/*.as, AssemblyScript) to blocks.wasm, which is checked in: `npm run wasm`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileAssembly } from '../assembly-script.ts';

/** The module that is checked in beside this file. */
export const MODULE_PATH = join(import.meta.dirname, 'blocks.wasm');

/** The module as the sources say, not written anywhere. Throws with the compiler's messages. */
export function compileBlocks(): Promise<Uint8Array> {
  return compileAssembly(join(import.meta.dirname, 'assembly'));
}

if (process.argv[1] === import.meta.filename) await writeFile(MODULE_PATH, await compileBlocks());
