// What the demo's database holds: orders, written until enough WAL has piled up, and their fingerprint.
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Postgres } from '../postgres.ts';
import { SEGMENT_BYTES } from './parts.ts';

export type Fingerprint = { rows: number; checksum: string };

const BATCH_ROWS = 10_000;

const CREATE = `
  create table orders (
    id bigint generated always as identity primary key,
    customer integer not null,
    item text not null,
    amount numeric(10, 2) not null,
    placed timestamptz not null default clock_timestamp(),
    note text not null
  )`;

const INSERT = `
  insert into orders (customer, item, amount, note)
  select (random() * 5000)::int, 'item ' || (random() * 300)::int, (random() * 1000)::numeric(10, 2),
         'delivered to ' || md5(random()::text) || ', signed by ' || md5(random()::text)
  from generate_series(1, $1::int)`;

export async function createOrders(client: pg.Client): Promise<void> {
  await client.query(CREATE);
}

export async function insertOrders(client: pg.Client, rows: number): Promise<void> {
  await client.query(INSERT, [rows]);
}

/** Inserts until a number of segments has been filled; calls back after each batch with the segments filled so far. */
export async function writeSegments(
  client: pg.Client,
  segments: number,
  onBatch: (filled: number) => Promise<void> | void,
): Promise<void> {
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn');
  for (let filled = 0; filled < segments; ) {
    await insertOrders(client, BATCH_ROWS);
    const sql = 'select pg_wal_lsn_diff(pg_current_wal_lsn(), $1)::float8 as bytes';
    const { rows: written } = await client.query<{ bytes: number }>(sql, [rows[0]?.lsn]);
    filled = Math.min(segments, Math.floor((written[0]?.bytes ?? 0) / SEGMENT_BYTES));
    await onBatch(filled);
  }
}

/** Count and checksum of all orders, whatever their place on disk. */
export async function fingerprint(postgres: Postgres): Promise<Fingerprint> {
  const [row] = await postgres.query<Fingerprint>(
    `select count(*)::int as rows, coalesce(sum(hashtextextended(o::text, 0)::numeric), 0)::text as checksum
     from orders o`,
  );
  return row ?? { rows: 0, checksum: '0' };
}

/** Segments the server has archived, and how often it failed. */
export type Archived = { count: number; failed: number; lastFailed: string | null; last: string | null };

export async function archived(client: pg.Client): Promise<Archived> {
  const { rows } = await client.query<Archived>(
    `select archived_count::int as count, failed_count::int as failed, last_failed_wal as "lastFailed",
            last_archived_wal as last from pg_stat_archiver`,
  );
  return rows[0] ?? { count: 0, failed: 0, lastFailed: null, last: null };
}

/**
 * Closes the current segment and waits until it and everything before it has been archived. Throws, with what the
 * archiver reports, when a file fails or the time is over.
 */
export async function archiveEverything(
  client: pg.Client,
  limitMs: number,
  onProgress: (archived: Archived) => void,
  describeFailure: () => Promise<string>,
): Promise<string> {
  const before = await archived(client);
  const { rows } = await client.query<{ segment: string }>('select pg_walfile_name(pg_switch_wal()) as segment');
  const wanted = rows[0]?.segment ?? '';
  const deadline = performance.now() + limitMs;
  for (;;) {
    const state = await archived(client);
    onProgress(state);
    if (state.last !== null && /^[0-9A-F]{24}$/.test(state.last) && state.last >= wanted) return wanted;
    if (state.failed > before.failed) {
      throw new Error(`archive_command failed for ${state.lastFailed}: ${await describeFailure()}`);
    }
    if (performance.now() > deadline) {
      throw new Error(`${wanted} was not archived within ${limitMs / 1000} s (last archived: ${state.last ?? 'none'})`);
    }
    await delay(100);
  }
}
