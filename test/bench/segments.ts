// The segments that are measured with: made once by a real PostgreSQL, kept outside the repository, used again.
import { createCipheriv } from 'node:crypto';
import { chmod, copyFile, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Cleanup } from '../demo/cleanup.ts';
import { findPostgres, initDatabase, startPostgres } from '../postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { BENCH_MAJOR } from './postgres-major.ts';
import { writeWal } from './workload.ts';

export type Segments = {
  /** Different segments of one system, by name. */
  files: string[];
  /** Segments with a proper first page and noise behind it: nothing packs them. */
  noise: string[];
  /** The control file of the system that wrote them. */
  controlFile: string;
  sizeBytes: number;
};

const CONTROL_FILE = 'pg_control';
const NOISE = 'noise';
const NOISE_COUNT = 8;
const PAGE_BYTES = 8192;
/** So that a batch of changes meets mostly pages that the last checkpoint has left clean. */
const ROWS_PER_SEGMENT_MIB = 40_000;

/** Takes the segments that are in the folder, or makes them: some seconds. */
export async function takeSegments(options: {
  folder: string;
  count: number;
  sizeBytes: number;
  cleanup: Cleanup;
  say: (text: string) => void;
}): Promise<Segments> {
  const { folder, count, sizeBytes, say } = options;
  const kept = await readSegments(folder, sizeBytes);
  if (kept !== undefined && kept.files.length >= count) return { ...kept, files: kept.files.slice(0, count) };
  say(`making ${count} segments of ${sizeBytes / 1024 / 1024} MiB with PostgreSQL in ${folder}`);
  await makeSegments(options);
  const made = await readSegments(folder, sizeBytes);
  if (made === undefined) throw new Error(`${folder}: no segments were made`);
  return { ...made, files: made.files.slice(0, count) };
}

/** Undefined when the folder is not there or holds segments of another size. */
async function readSegments(folder: string, sizeBytes: number): Promise<Segments | undefined> {
  const names = await readdir(folder).catch(() => []);
  const paths = (pattern: RegExp) =>
    names
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => join(folder, name));
  const files = paths(/^[0-9A-F]{24}$/);
  const [first] = files;
  if (first === undefined || (await sizeOf(first)) !== sizeBytes) return undefined;
  return { files, noise: paths(/^noise\./), controlFile: join(folder, CONTROL_FILE), sizeBytes };
}

async function makeSegments(options: {
  folder: string;
  count: number;
  sizeBytes: number;
  cleanup: Cleanup;
}): Promise<void> {
  const { folder, count, sizeBytes, cleanup } = options;
  const sizeMiB = sizeBytes / 1024 / 1024;
  const home = await makeShortFolder('cellar-bench-pg-');
  cleanup.add(() => rm(home, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  await account.own(home);
  const pgdata = join(home, 'pgdata');
  const server = {
    programs: await findPostgres(account, home, BENCH_MAJOR),
    account,
    pgdata,
    logFile: join(home, 'postgres.log'),
  };
  await initDatabase({ ...server, segmentSizeMiB: sizeMiB });
  const everything = `${(count + 64) * Math.max(sizeMiB, 16)}MB`;
  const settings = { wal_keep_size: everything, max_wal_size: '64GB', checkpoint_timeout: '1d', fsync: 'off' };
  const postgres = await startPostgres({ ...server, socketFolder: join(home, 'run'), settings });
  cleanup.add(() => postgres.stop('immediate'));
  const written = await writeWal(postgres, count * sizeBytes, ROWS_PER_SEGMENT_MIB * sizeMiB);
  await postgres.stop();
  // Whole or not at all: the next run takes what it finds under the final name.
  const unfinished = `${folder}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  await collect(pgdata, unfinished, written);
  await makeNoise(unfinished);
  await rm(folder, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  await rename(unfinished, folder);
}

async function collect(pgdata: string, folder: string, { from, to }: { from: string; to: string }): Promise<void> {
  const names = (await readdir(join(pgdata, 'pg_wal'))).filter(
    (name) => /^[0-9A-F]{24}$/.test(name) && name >= from && name < to,
  );
  for (const name of names) await copyReadable(join(pgdata, 'pg_wal', name), join(folder, name));
  await copyReadable(join(pgdata, 'global', CONTROL_FILE), join(folder, CONTROL_FILE));
}

async function makeNoise(folder: string): Promise<void> {
  const [first = ''] = (await readdir(folder)).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort();
  const segment = await readFile(join(folder, first));
  for (let seed = 1; seed <= NOISE_COUNT; seed += 1) {
    const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
    const noise = cipher.update(Buffer.alloc(segment.length));
    segment.copy(noise, 0, 0, PAGE_BYTES);
    await writeFile(join(folder, `${NOISE}.${seed}`), noise, { mode: 0o644 });
  }
}

/** The sidecar may run as another user. */
async function copyReadable(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, 0o644);
}

async function sizeOf(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}
