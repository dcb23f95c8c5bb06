// The PostgreSQL end of a base backup: one connection from start to stop (object-store-layout.md §5.6). PostgreSQL
// ends the backup by itself when that connection ends.
import pg from 'pg';
import { CancelledError, messageOf, PreconditionError } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import type { Tablespace } from './info.ts';
import { clientConfig, type PostgresAddress } from './postgres-address.ts';
import { type Micros, parseTimestamp } from './timestamp.ts';

export type ServerFacts = {
  /** `server_version_num`, 180004. */
  version: number;
  inRecovery: boolean;
  pgdata: string;
  systemId: string;
  segmentSizeBytes: number;
  /** `block_size`, and the blocks in one file of a relation: `segment_size`. */
  blockSizeBytes: number;
  segmentBlocks: number;
  dataChecksums: string;
  summarizeWal: string | undefined;
  configFile: string;
  hbaFile: string;
  identFile: string;
  includedFiles: string[] | undefined;
  /** Those with a place of their own outside PGDATA's `pg_tblspc`. */
  tablespaces: Tablespace[];
  /** Unknown without the privilege to ask. */
  clusterSizeBytes: number | undefined;
};

export type BackupPoint = { lsn: string; time: Micros; timeline: number };
export type BackupStop = BackupPoint & { label: string; tablespaceMap: string };

export type BackupSource = {
  facts(): Promise<ServerFacts>;
  /** The server's `postmaster.pid`; undefined without the privilege to read it. */
  postmaster(): Promise<string | undefined>;
  /** As of now. */
  tablespaces(): Promise<Tablespace[]>;
  /** Returns after the checkpoint; `fast` asks for it at once, otherwise it is spread as checkpoints are. */
  start(label: string, fast: boolean): Promise<BackupPoint>;
  /** Ends the backup. Does not wait for the archive: we look into it ourselves. */
  stop(): Promise<BackupStop>;
  /** On a primary: switches the segment and sets a restore point of that name; on a standby nothing. */
  markEnd(restorePoint: string): Promise<void>;
  /** Ends the connection; a backup that was not stopped ends with it. Never throws. */
  end(): Promise<void>;
};

/** The name that barman uses, which people look for in pg_stat_activity. */
const APPLICATION_NAME = 'barman_cloud_backup';

/**
 * Connects. `onLost` is told when the connection breaks while nobody asks it anything. Throws PreconditionError when
 * PostgreSQL cannot be reached. Aborting the signal ends the connection.
 */
export async function connectSource(options: {
  postgres: PostgresAddress;
  signal: AbortSignal;
  log: Log;
  onLost: (error: Error) => void;
}): Promise<BackupSource> {
  const { postgres, signal, log, onLost } = options;
  // Values stay text: a Date would lose the microseconds, a number the system identifier.
  const client = new pg.Client({
    ...(await clientConfig(postgres)),
    application_name: APPLICATION_NAME,
    types: { getTypeParser: () => (value: string) => value },
  });
  client.on('error', (error) => onLost(lost(error)));
  const end = async () => {
    signal.removeEventListener('abort', end);
    await client
      .end()
      .catch((error) => log.debug({ error: messageOf(error) }, 'PostgreSQL connection did not end well'));
  };
  signal.throwIfAborted();
  try {
    await client.connect();
  } catch (error) {
    const { host, port, user, database } = postgres;
    throw new PreconditionError(
      `cannot connect to PostgreSQL at ${host} port ${port}, database ${database}, as ${user}`,
      { cause: error, hint: `${messageOf(error)}; is PostgreSQL of this instance running?` },
    );
  }
  signal.addEventListener('abort', end);
  const ask = async (sql: string, values: string[] = []): Promise<Row> => {
    try {
      const { rows } = await client.query<Row>(sql, values);
      return rows[0] ?? {};
    } catch (error) {
      if (signal.aborted) throw new CancelledError('the backup was cancelled', { cause: error });
      throw error;
    }
  };
  const askAll = async (sql: string): Promise<Row[]> => (await client.query<Row>(sql)).rows;
  try {
    await prepareSession(ask);
    const version = Number(required(await ask("SELECT current_setting('server_version_num') AS version"), 'version'));
    return {
      facts: () => readFacts(version, ask, askAll, log),
      postmaster: () => readPostmaster(ask, log),
      tablespaces: () => readTablespaces(askAll),
      start: (label, fast) => start(version, label, fast, ask),
      stop: () => stop(version, ask),
      markEnd: (restorePoint) => markEnd(restorePoint, ask, log),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

type Row = Record<string, string | null>;
type Ask = (sql: string, values?: string[]) => Promise<Row>;

/** Microseconds exactly and in UTC, whatever DateStyle and TimeZone the server has. */
const NOW = "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";

/** The session idles for as long as the copy takes; a client that is gone is noticed while a checkpoint is awaited. */
async function prepareSession(ask: Ask): Promise<void> {
  await ask('SET idle_session_timeout = 0');
  await ask('SET statement_timeout = 0');
  await ask('SET lock_timeout = 0');
  // Since PostgreSQL 17; it would end the wait for a spread checkpoint, and the session with it.
  await ask("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'");
  await ask("SET client_connection_check_interval = '5s'");
}

async function start(version: number, label: string, fast: boolean, ask: Ask): Promise<BackupPoint> {
  const call = version >= 150_000 ? 'pg_backup_start($1, $2)' : 'pg_start_backup($1, $2, false)';
  const begun = await ask(`SELECT ${call} AS lsn, ${NOW} AS time`, [label, String(fast)]);
  const { timeline } = await ask('SELECT timeline_id AS timeline FROM pg_control_checkpoint()');
  return point({ ...begun, timeline: timeline ?? null });
}

async function stop(version: number, ask: Ask): Promise<BackupStop> {
  const call = version >= 150_000 ? 'pg_backup_stop(false)' : 'pg_stop_backup(false, false)';
  const stopped = await ask(
    `SELECT lsn, labelfile AS label, spcmapfile AS map, ${NOW} AS time,
       CASE WHEN pg_is_in_recovery() THEN (SELECT min_recovery_end_timeline FROM pg_control_recovery())
            ELSE (SELECT timeline_id FROM pg_control_checkpoint()) END AS timeline
     FROM ${call}`,
  );
  return { ...point(stopped), label: required(stopped, 'label'), tablespaceMap: stopped.map ?? '' };
}

async function markEnd(restorePoint: string, ask: Ask, log: Log): Promise<void> {
  const { recovering } = await ask('SELECT pg_is_in_recovery() AS recovering');
  if (recovering === 't') return;
  await ask('SELECT pg_switch_wal()');
  try {
    await ask('SELECT pg_create_restore_point($1)', [restorePoint]);
  } catch (error) {
    log.warn({ restorePoint, error: messageOf(error) }, 'restore point was not set; the backup does not need it');
  }
}

async function readFacts(
  version: number,
  ask: Ask,
  askAll: (sql: string) => Promise<Row[]>,
  log: Log,
): Promise<ServerFacts> {
  const row = await ask(
    `SELECT current_setting('data_directory') AS pgdata, current_setting('data_checksums') AS checksums,
       ${version >= 170_000 ? "current_setting('summarize_wal')" : 'NULL'} AS summarize,
       (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment,
       (SELECT setting FROM pg_settings WHERE name = 'block_size') AS block,
       (SELECT setting FROM pg_settings WHERE name = 'segment_size') AS blocks,
       current_setting('config_file') AS config, current_setting('hba_file') AS hba,
       current_setting('ident_file') AS ident, pg_is_in_recovery() AS recovering,
       (SELECT system_identifier FROM pg_control_system()) AS systemid`,
  );
  const included = await askAll(
    `SELECT DISTINCT sourcefile FROM pg_settings
     WHERE sourcefile IS NOT NULL AND sourcefile <> current_setting('config_file') ORDER BY sourcefile`,
  );
  return {
    version,
    inRecovery: row.recovering === 't',
    pgdata: required(row, 'pgdata'),
    systemId: required(row, 'systemid'),
    segmentSizeBytes: Number(required(row, 'segment')),
    blockSizeBytes: Number(required(row, 'block')),
    segmentBlocks: Number(required(row, 'blocks')),
    dataChecksums: required(row, 'checksums'),
    summarizeWal: row.summarize ?? undefined,
    configFile: required(row, 'config'),
    hbaFile: required(row, 'hba'),
    identFile: required(row, 'ident'),
    includedFiles: included.length === 0 ? undefined : included.map((file) => required(file, 'sourcefile')),
    tablespaces: await readTablespaces(askAll),
    clusterSizeBytes: await clusterSize(ask, log),
  };
}

async function readTablespaces(askAll: (sql: string) => Promise<Row[]>): Promise<Tablespace[]> {
  // A relative location is an in-place tablespace: an ordinary folder of PGDATA.
  const tablespaces = await askAll(
    `SELECT spcname AS name, oid, pg_tablespace_location(oid) AS location FROM pg_tablespace
     WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY oid`,
  );
  return tablespaces.map((tablespace) => ({
    name: required(tablespace, 'name'),
    oid: Number(required(tablespace, 'oid')),
    location: required(tablespace, 'location'),
  }));
}

async function clusterSize(ask: Ask, log: Log): Promise<number | undefined> {
  try {
    return Number(required(await ask('SELECT sum(pg_tablespace_size(oid)) AS size FROM pg_tablespace'), 'size'));
  } catch (error) {
    log.debug({ error: messageOf(error) }, 'the size of the cluster is not known');
    return undefined;
  }
}

async function readPostmaster(ask: Ask, log: Log): Promise<string | undefined> {
  try {
    return required(await ask("SELECT pg_read_file('postmaster.pid') AS postmaster"), 'postmaster');
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    log.debug({ error: messageOf(error) }, 'which server answers is not known');
    return undefined;
  }
}

function point(row: Row): BackupPoint {
  const time = parseTimestamp(required(row, 'time'));
  if (time === undefined) throw new PreconditionError(`PostgreSQL answered a time that we cannot read: ${row.time}`);
  return { lsn: required(row, 'lsn'), time, timeline: Number(required(row, 'timeline')) };
}

function required(row: Row, column: string): string {
  const value = row[column];
  if (value === undefined || value === null) throw new PreconditionError(`PostgreSQL answered no ${column}`);
  return value;
}

function lost(error: Error): PreconditionError {
  return new PreconditionError('the connection to PostgreSQL broke, and the backup with it', {
    cause: error,
    hint: error.message,
  });
}
