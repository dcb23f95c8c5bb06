// What is in the database: rows as an ordinary application has them, in a third each of short rows with indexes, of wide rows
// with numbers, and of documents that PostgreSQL stores out of line. The same rows in every run.
import type { Postgres } from '../postgres.ts';

const BATCH_ROWS = 20_000;
const DOCUMENTS_PER_BATCH = 2_000;

const CREATE = `
  create table accounts (
    id bigint primary key, owner text not null, email text not null, balance numeric(14, 2) not null,
    changed timestamptz not null, note text not null
  );
  create index on accounts (owner);
  create index on accounts (balance);
  create table payments (
    id bigint primary key, account bigint not null, amount numeric(12, 2) not null, rate double precision not null,
    booked timestamptz not null, reference uuid not null, state text not null
  );
  create index on payments (account, booked);
  create table documents (id bigint primary key, title text not null, body text not null, facts jsonb not null)`;

const ACCOUNTS = `
  insert into accounts
  select i, 'customer ' || (random() * 100000)::int, md5(i::text) || '@example.com', (random() * 100000)::numeric(14, 2),
         timestamptz '2026-01-01' + i * interval '1 second', 'transfer ' || (random() * 1000000)::int ||
         ' from account ' || (random() * 100000)::int || ' to account ' || (random() * 100000)::int
  from generate_series($1::bigint, $2::bigint) i`;

const PAYMENTS = `
  insert into payments
  select i, (random() * 1000000)::bigint, (random() * 10000)::numeric(12, 2), random(),
         timestamptz '2026-01-01' + random() * interval '300 days', md5(random()::text)::uuid,
         (array['booked', 'pending', 'refused', 'reversed'])[1 + (random() * 3)::int]
  from generate_series($1::bigint, $2::bigint) i`;

const DOCUMENTS = `
  insert into documents
  select i, 'document ' || i, body, jsonb_build_object('pages', (random() * 40)::int, 'author', (random() * 100000)::int)
  from generate_series($1::bigint, $2::bigint) i,
       lateral (
         select string_agg('On page ' || page || ' the parties agree that clause ' ||
                           (random() * 100000)::int || ' applies (' || substr(md5((random() + i)::text), 1, 12) || '). ', '')
                as body
         from generate_series(1, 120) page
       ) text`;

/** Adds rows until the databases of the server have that size, then leaves everything written and settled. */
export async function fillDatabase(postgres: Postgres, sizeMiB: number): Promise<void> {
  const client = await postgres.connect();
  try {
    await client.query('select setseed(0.4217)');
    await client.query(CREATE);
    for (let batch = 0; (await databasesMiB()) < sizeMiB; batch += 1) {
      const [rows, documents] = [batch * BATCH_ROWS, batch * DOCUMENTS_PER_BATCH];
      await client.query(ACCOUNTS, [rows + 1, rows + BATCH_ROWS]);
      await client.query(PAYMENTS, [rows + 1, rows + BATCH_ROWS]);
      await client.query(DOCUMENTS, [documents + 1, documents + DOCUMENTS_PER_BATCH]);
    }
    // Or the first reader would write hint bits, and the restored files could not be compared.
    await client.query('vacuum (freeze, analyze)');
    await client.query('checkpoint');
  } finally {
    await client.end();
  }

  async function databasesMiB(): Promise<number> {
    const sql = 'select sum(pg_database_size(oid))::float8 / 1024 / 1024 as size from pg_database';
    return (await client.query<{ size: number }>(sql)).rows[0]?.size ?? 0;
  }
}
