// The server that is backed up: its layout, its rows, and how they are compared with those of a restored one.
import { cp, mkdir, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { fixedSettings, writeConfiguration } from '../../manager/configuration.ts';
import { initDatabase, type Postgres, type PostgresPrograms, startPostgres } from '../../postgres.ts';
import type { Account } from '../../unprivileged.ts';
import type { Layout } from './cells.ts';

export type Origin = {
  postgres: Postgres;
  client: pg.Client;
  pgdata: string;
  /** By name; those of the layout with tablespaces. */
  tablespaces: Map<string, string>;
  logFile: string;
};

/** The second name needs quotes of each kind: of SQL, of Python and of a command line. */
export const TABLESPACES = ['warm', `it's "cold"`] as const;
const BATCH_ROWS = 500;
const FIRST_ROWS = 12_000;
/** Between two batches of the load: a calm one, as each segment is a program started for barman. */
const LOAD_PAUSE_MS = 100;

/** Makes a database cluster that `startOrigin` copies: quicker than to make one for every cell. */
export async function makeTemplate(options: {
  programs: PostgresPrograms;
  account: Account;
  folder: string;
}): Promise<string> {
  const pgdata = join(options.folder, `template-${options.programs.major}`);
  const logFile = join(options.folder, `initdb-${options.programs.major}.log`);
  await initDatabase({ programs: options.programs, account: options.account, pgdata, logFile });
  return pgdata;
}

/** Starts a copy of the template in `folder`, laid out and filled. */
export async function startOrigin(options: {
  programs: PostgresPrograms;
  account: Account;
  template: string;
  folder: string;
  layout: Layout;
  archiveCommand: string;
}): Promise<Origin> {
  const { programs, account, folder, layout } = options;
  const pgdata = join(folder, 'origin', 'pgdata');
  await cp(options.template, pgdata, { recursive: true, verbatimSymlinks: true });
  if (layout === 'pg_wal as a link') await moveWal(pgdata, join(folder, 'origin', 'wal'));
  const tablespaces = new Map<string, string>();
  for (const [index, name] of layout === 'tablespaces' ? TABLESPACES.entries() : []) {
    tablespaces.set(name, join(folder, 'origin', `tablespace-${index}`, 'data'));
  }
  for (const location of tablespaces.values()) await mkdir(location, { recursive: true });
  await account.own(join(folder, 'origin'));
  await writeConfiguration(pgdata, account, { ...fixedSettings(options.archiveCommand), fsync: 'off' });
  const logFile = join(folder, 'origin.log');
  const place = { programs, account, pgdata, socketFolder: join(folder, 'origin-run'), logFile };
  const postgres = await startPostgres(place);
  const client = await postgres.connect();
  await fill(client, tablespaces);
  return { postgres, client, pgdata, tablespaces, logFile };
}

/** Runs work while rows are being written. */
export async function underLoad<T>(origin: Origin, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const load = (async () => {
    while (!done.signal.aborted) {
      await addRows(origin, BATCH_ROWS);
      await delay(LOAD_PAUSE_MS);
    }
  })();
  try {
    return await work();
  } finally {
    done.abort();
    await load;
  }
}

/** In every table. */
export async function addRows({ client, tablespaces }: Pick<Origin, 'client' | 'tablespaces'>, rows: number) {
  for (const table of tablesOf(tablespaces.size)) {
    const sql = `INSERT INTO ${table} (words) SELECT md5(random()::text) || md5(random()::text) FROM generate_series(1, $1::int)`;
    await client.query(sql, [rows]);
  }
}

export type Fingerprint = { table: string; rows: number; checksum: string }[];

/** Rows and checksum of every table, whatever their place on disk; reading them all proves their pages. */
export async function fingerprint(client: pg.Client, tablespaces: number): Promise<Fingerprint> {
  const found: Fingerprint = [];
  for (const table of tablesOf(tablespaces)) {
    const { rows } = await client.query(
      `SELECT '${table}' AS table, count(*)::int AS rows, sum(hashtextextended(t::text, 0)::numeric)::text AS checksum FROM ${table} t`,
    );
    found.push(...rows);
  }
  return found;
}

async function moveWal(pgdata: string, to: string): Promise<void> {
  await rename(join(pgdata, 'pg_wal'), to);
  await symlink(to, join(pgdata, 'pg_wal'));
}

async function fill(client: pg.Client, tablespaces: Map<string, string>): Promise<void> {
  for (const [name, location] of tablespaces) {
    await client.query(`CREATE TABLESPACE ${client.escapeIdentifier(name)} LOCATION '${location}'`);
  }
  const places = ['pg_default', ...tablespaces.keys()];
  for (const [index, table] of tablesOf(tablespaces.size).entries()) {
    const place = client.escapeIdentifier(places[index] ?? '');
    await client.query(
      `CREATE TABLE ${table} (id bigint GENERATED ALWAYS AS IDENTITY, words text NOT NULL) TABLESPACE ${place}`,
    );
    await client.query(`CREATE INDEX ON ${table} (id) TABLESPACE ${place}`);
  }
  await addRows({ client, tablespaces }, FIRST_ROWS);
}

/** The first one lies in PGDATA. */
function tablesOf(tablespaces: number): string[] {
  return Array.from({ length: tablespaces + 1 }, (_, index) => `rows_${index}`);
}
