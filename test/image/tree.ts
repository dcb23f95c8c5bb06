// The files of the image in a folder: what `npm run build` makes, the runtime of npm's node package, and of the base image
// the libraries that the runtime is linked with.
import { execFile, spawn } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { createGzip } from 'node:zlib';
import { buildImageFiles, RUNTIME } from '../../build/image-files.ts';

const REPOSITORY = dirname(dirname(import.meta.dirname));
const NODE = join(REPOSITORY, 'node_modules/node/bin/node');

/** glibc, libgcc and libstdc++: what distroless/cc has for programs. */
const OF_THE_BASE = /\/(ld-linux-[\w-]+|lib(c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+))\.so\.\d+$/;

export type ImageTree = {
  folder: string;
  /** Of an archive of it, bytes. */
  compressedBytes(): Promise<number>;
  remove(): Promise<void>;
};

/** Lays the tree out. */
export async function layOutImage(): Promise<ImageTree> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-image-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await buildImageFiles(REPOSITORY, folder, { os: process.platform, cpu: process.arch });
    await chmod(folder, 0o755);
    await mkdir(dirname(join(folder, RUNTIME)), { recursive: true });
    await copyFile(NODE, join(folder, RUNTIME));
    await chmod(join(folder, RUNTIME), 0o755);
    const native = (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.node'));
    for (const library of await librariesOf([NODE, ...native.map((file) => join(folder, file))])) {
      await mkdir(dirname(join(folder, library)), { recursive: true });
      await cp(await realpath(library), join(folder, library));
    }
    return { folder, compressedBytes: () => compressedBytes(folder), remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Absolute paths, the loader's among them. Throws for one that the base image has not. */
async function librariesOf(files: readonly string[]): Promise<Set<string>> {
  const { stdout } = await promisify(execFile)('ldd', [...files]);
  const libraries = new Set([...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? []));
  const strangers = [...libraries].filter((library) => !OF_THE_BASE.test(library));
  if (strangers.length > 0) throw new Error(`not in the base image: ${strangers.join(', ')}`);
  return libraries;
}

/** With the fastest level: registries store a little less. */
async function compressedBytes(folder: string): Promise<number> {
  const tar = spawn('tar', ['-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let sizeBytes = 0;
  for await (const chunk of tar.stdout.pipe(createGzip({ level: 1 }))) sizeBytes += (chunk as Buffer).length;
  return sizeBytes;
}
