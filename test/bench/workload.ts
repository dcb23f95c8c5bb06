// Writes WAL as a busy server does: rows updated all over a table, checkpoints in between, so that the first change of each
// page carries the whole page. The same statements with the same random numbers in every run.
import type { Postgres } from '../postgres.ts';

/** Changed rows between two looks at the WAL. */
const BATCH_ROWS = 3000;
/** Some pages are changed again before the next checkpoint: then a record is all that is written. */
const BATCHES_PER_CHECKPOINT = 4;

const CREATE = `
  create table accounts (
    id integer primary key,
    owner text not null,
    balance numeric(14, 2) not null,
    changed timestamptz not null,
    note text not null
  )`;

const FILL = `
  insert into accounts
  select i, 'customer ' || (random() * 100000)::int, (random() * 100000)::numeric(14, 2),
         timestamptz '2026-01-01' + i * interval '1 second', 'transfer ' || (random() * 1000000)::int || ' from account ' || (random() * 100000)::int ||
         ' to account ' || (random() * 100000)::int || ', reference ' || substr(md5(i::text), 1, 8)
  from generate_series(1, $1::int) i`;

const CHANGE = `
  update accounts set balance = balance + (random() * 100)::numeric(14, 2), changed = changed + interval '1 day',
         note = 'payment ' || (random() * 1000000)::int || substr(note, 9 + (random() * 7)::int)
  where id in (select 1 + (random() * ($1::int - 1))::int from generate_series(1, $2::int))`;

/** Writes at least `sizeBytes` of it; returns the first segment that holds nothing else, and the first not full. */
export async function writeWal(
  postgres: Postgres,
  sizeBytes: number,
  rows: number,
): Promise<{ from: string; to: string }> {
  const client = await postgres.connect();
  try {
    await client.query('select setseed(0.4217)');
    await client.query(CREATE);
    await client.query('create index on accounts (balance)');
    await client.query(FILL, [rows]);
    await client.query('select pg_switch_wal()');
    await client.query('checkpoint');
    await client.query('select pg_switch_wal()');
    const begin = (await client.query<{ lsn: string }>('select pg_current_wal_lsn() as lsn')).rows[0]?.lsn;
    const from = await currentSegment();
    for (let written = 0, batch = 1; written < sizeBytes; batch += 1) {
      await client.query(CHANGE, [rows, BATCH_ROWS]);
      if (batch % BATCHES_PER_CHECKPOINT === 0) await client.query('checkpoint');
      const sql = 'select pg_wal_lsn_diff(pg_current_wal_lsn(), $1)::float8 as bytes';
      written = (await client.query<{ bytes: number }>(sql, [begin])).rows[0]?.bytes ?? 0;
    }
    return { from, to: await currentSegment() };
  } finally {
    await client.end();
  }

  async function currentSegment(): Promise<string> {
    const { rows } = await client.query<{ name: string }>('select pg_walfile_name(pg_current_wal_lsn()) as name');
    return rows[0]?.name ?? '';
  }
}
