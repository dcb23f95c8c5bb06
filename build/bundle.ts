// Bundles the programs with esbuild: ES modules with their source maps, the thread of bzip2 and the WebAssembly beside. What
// a program loads only when it needs it (the adapter of a store) is a file of its own, as text that is loaded costs memory.
import { copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { isForOthers, PROGRAMS, type Program } from './programs.ts';

/** Libraries with native code: they stay packages, beside the bundles. */
export const NATIVE_PACKAGES = ['lz4-napi', 'snappy', '@node-rs/crc32', 'lzma-native'] as const;

const WORKER = 'sidecar/stream/bzip2/worker.ts';
const WORKER_BUNDLE = 'bzip2-worker';
const WEB_ASSEMBLY = ['sidecar/stream/bzip2/blocks.wasm', 'sidecar/backup/page-checksums/pages.wasm'];

/** What CommonJS inside an ES module asks for. */
const BANNER = [
  "import { createRequire as __createRequire } from 'node:module';",
  "import { dirname as __dirnameOf } from 'node:path';",
  'const require = __createRequire(import.meta.url);',
  'const __filename = import.meta.filename;',
  'const __dirname = __dirnameOf(__filename);',
].join('');

/** Writes the bundles of a tree into a folder; returns what each is made of, by bundle. */
export async function bundlePrograms(root: string, folder: string): Promise<Map<string, Metafile>> {
  const made = new Map<string, Metafile>();
  for (const program of PROGRAMS) {
    made.set(program.name, await bundle(root, 'main.ts', folder, program.name, [onlyOf(program)]));
  }
  made.set(WORKER_BUNDLE, await bundle(root, WORKER, folder, WORKER_BUNDLE, []));
  for (const file of WEB_ASSEMBLY) await copyFile(join(root, file), join(folder, basename(file)));
  return made;
}

async function bundle(root: string, entry: string, folder: string, name: string, plugins: Plugin[]): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [{ in: entry, out: name }],
    outdir: folder,
    chunkNames: `${name}-[name]-[hash]`,
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'linked',
    // Names stay for stack traces; white space would only be memory.
    minifyWhitespace: true,
    legalComments: 'none',
    banner: { js: BANNER },
    // What is tried and done without: the native driver of pg.
    external: [...NATIVE_PACKAGES, 'pg-native'],
    plugins: [...plugins, threadBeside()],
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** Leaves out what main.ts imports for other programs. */
function onlyOf(program: Program): Plugin {
  return {
    name: 'one-program',
    setup({ onResolve }) {
      onResolve({ filter: /^\.\/.*\.ts$/ }, ({ path, importer }) =>
        basename(importer) === 'main.ts' && isForOthers(program, path) ? { path, external: true } : undefined,
      );
    },
  };
}

/** The address of the thread's file: esbuild follows imports, not addresses. */
function threadBeside(): Plugin {
  return {
    name: 'thread-beside',
    setup({ onLoad }) {
      onLoad({ filter: /bzip2\/workers\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8');
        const contents = text.replace("'./worker.ts', import.meta.url", `'./${WORKER_BUNDLE}.js', import.meta.url`);
        if (contents === text) throw new Error(`${path} starts its thread from another file than ./worker.ts`);
        return { contents, loader: 'ts' };
      });
    },
  };
}
