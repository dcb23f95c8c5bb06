// Compiles AssemblyScript to WebAssembly: for the build programs of the modules that are checked in (`npm run wasm`).
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

/** The module of a folder's `index.as`, not written anywhere. Throws with the compiler's messages. */
export async function compileAssembly(folder: string): Promise<Uint8Array> {
  const { default: asc } = await import('assemblyscript/asc');
  let binary: Uint8Array | undefined;
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--use', 'abort='];
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'module.wasm', '--baseDir', folder, ...options], {
    // The compiler knows `.ts` only; to all other tools these files would look like TypeScript.
    readFile: (name) => readFile(resolve(folder, name.replace(/\.ts$/, '.as')), 'utf8').catch(() => null),
    writeFile: (_name, contents) => {
      if (typeof contents !== 'string') binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`asc: ${error?.message ?? ''}\n${stderr.toString()}`);
  return binary;
}
