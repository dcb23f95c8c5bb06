// The database that backups are measured with: made once by a real PostgreSQL, kept outside the repository, used again. It
// is at rest when it is kept; a run starts a server on it and stops it again.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cleanup } from '../demo/cleanup.ts';
import { findPostgres, initDatabase, startPostgres } from '../postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../unprivileged.ts';
import { fillDatabase } from './database-content.ts';
import { BENCH_MAJOR } from './postgres-major.ts';
import { removeSparse } from './sparse.ts';

/** Says that a folder was finished, and what is in it. */
const FACTS = 'bench.json';

/** Takes the database that is in the folder, or makes it: a minute or two for 2 GiB. Returns its data folder. */
export async function takeDatabase(options: {
  folder: string;
  sizeMiB: number;
  cleanup: Cleanup;
  say: (text: string) => void;
}): Promise<string> {
  const { folder, sizeMiB, say } = options;
  const pgdata = join(folder, 'pgdata');
  if (await isKept(folder, sizeMiB)) {
    // A run that was killed may have left it.
    await removeSparse(pgdata);
    return pgdata;
  }
  say(`making a database of ${sizeMiB} MiB with PostgreSQL ${BENCH_MAJOR} in ${folder}`);
  const unfinished = `${folder}.${process.pid}`;
  options.cleanup.add(() => rm(unfinished, { recursive: true, force: true }));
  await makeDatabase(unfinished, options);
  await writeFile(join(unfinished, FACTS), JSON.stringify({ sizeMiB, major: BENCH_MAJOR }));
  await rm(folder, { recursive: true, force: true });
  await rename(unfinished, folder);
  return pgdata;
}

async function isKept(folder: string, sizeMiB: number): Promise<boolean> {
  const text = await readFile(join(folder, FACTS), 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  const facts: { sizeMiB?: number; major?: number } = JSON.parse(text);
  return facts.sizeMiB === sizeMiB && facts.major === BENCH_MAJOR;
}

async function makeDatabase(
  folder: string,
  { sizeMiB, cleanup }: { sizeMiB: number; cleanup: Cleanup },
): Promise<void> {
  const home = await makeShortFolder('cellar-bench-pg-');
  cleanup.add(() => rm(home, { recursive: true, force: true }));
  const account = unprivilegedAccount();
  await account.own(home);
  const pgdata = join(folder, 'pgdata');
  await mkdir(folder, { recursive: true });
  const programs = await findPostgres(account, home, BENCH_MAJOR);
  const server = { programs, account, pgdata, logFile: join(home, 'postgres.log') };
  await initDatabase(server);
  const settings = {
    ...{ wal_level: 'minimal', max_wal_senders: '0', fsync: 'off', synchronous_commit: 'off', autovacuum: 'off' },
    ...{ max_wal_size: '16GB', checkpoint_timeout: '1d', maintenance_work_mem: '256MB' },
  };
  const postgres = await startPostgres({ ...server, socketFolder: join(home, 'run'), settings });
  cleanup.add(() => postgres.stop('immediate'));
  await fillDatabase(postgres, sizeMiB);
  await postgres.stop();
}
