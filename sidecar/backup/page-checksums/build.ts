// Compiles the page check (assembly/index.as, AssemblyScript) to pages.wasm, which is checked in: `npm run wasm`.
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const SOURCES = join(import.meta.dirname, 'assembly');
/** The module that is checked in beside this file. */
export const MODULE_PATH = join(import.meta.dirname, 'pages.wasm');

/** The module as the source says, not written anywhere. Throws with the compiler's messages. */
export async function compilePages(): Promise<Uint8Array> {
  const { default: asc } = await import('assemblyscript/asc');
  let binary: Uint8Array | undefined;
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort='];
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'pages.wasm', '--baseDir', SOURCES, ...options], {
    // The compiler knows `.ts` only; to all other tools this file would look like TypeScript.
    readFile: (name) => readFile(resolve(SOURCES, name.replace(/\.ts$/, '.as')), 'utf8').catch(() => null),
    writeFile: (_name, contents) => {
      if (typeof contents !== 'string') binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`asc: ${error?.message ?? ''}\n${stderr.toString()}`);
  return binary;
}

if (process.argv[1] === import.meta.filename) await writeFile(MODULE_PATH, await compilePages());
