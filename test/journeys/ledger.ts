// A write load that remembers what the server has promised: every transaction has an id, and is noted once its commit was
// acknowledged. A recovered database can then be asked for all of them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Postgres } from '../postgres.ts';
import { until } from './conditions.ts';
import { seededRandom } from './random.ts';

/** A point of the history: what must be there after a recovery to it, and what cannot be. */
export type Mark = {
  /** Acknowledged before it. */
  before: ReadonlySet<number>;
  /** Ids from this one on were begun after it. */
  firstAfter: number;
};

export type Ledger = {
  /** Waits for so many more acknowledged transactions; throws what ended the load. */
  moreCommitted(count: number): Promise<void>;
  /** A restore point of that name on the server that is written to. */
  mark(name: string): Promise<Mark>;
  /** Ends the load; the mark of everything that was acknowledged. */
  stop(): Promise<Mark>;
};

const WRITERS = 3;
const ACCOUNTS = 200;
const CONTENT_BYTES = 1_500;

const SCHEMA = `
  create extension amcheck;
  create table account (id integer primary key, balance bigint not null);
  create table entry (
    id bigint primary key, source integer not null, target integer not null, amount integer not null,
    content text not null, checksum text not null
  );
  insert into account select id, 0 from generate_series(1, ${ACCOUNTS}) as id`;

/** Makes the tables and begins to write. End it with `stop` before the server ends. */
export async function startLedger(postgres: Postgres): Promise<Ledger> {
  await postgres.query(SCHEMA);
  const acknowledged = new Set<number>();
  const random = seededRandom(11);
  let next = 1;
  let stopped = false;

  const write = async (): Promise<void> => {
    const client = await postgres.connect();
    try {
      while (!stopped) {
        const id = next;
        next += 1;
        const [source, target] = [random.integer(1, ACCOUNTS), random.integer(1, ACCOUNTS)];
        const content = createHash('sha512').update(`${id}`).digest('base64').repeat(17).slice(0, CONTENT_BYTES);
        const amount = random.integer(1, 1_000);
        await client.query('begin');
        await client.query('insert into entry values ($1, $2, $3, $4, $5, md5($5))', [
          ...[id, source, target, amount, content],
        ]);
        // Always in the order of the accounts: two writers never wait for each other.
        const changes = [
          [source, -amount],
          [target, amount],
        ].sort(([a = 0], [b = 0]) => a - b);
        for (const [account, change] of changes) {
          await client.query('update account set balance = balance + $2 where id = $1', [account, change]);
        }
        await client.query('commit');
        acknowledged.add(id);
      }
    } finally {
      await client.end();
    }
  };
  let failure: unknown;
  const writing = Promise.all(Array.from({ length: WRITERS }, write)).catch((error) => {
    failure = error;
  });
  const throwFailure = (): void => {
    if (failure !== undefined) throw new Error('the write load has failed', { cause: failure });
  };
  return {
    async moreCommitted(count) {
      const wanted = acknowledged.size + count;
      await until(`${count} more transactions are committed`, () => {
        throwFailure();
        return acknowledged.size >= wanted;
      });
    },
    async mark(name) {
      const before = new Set(acknowledged);
      await postgres.query('select pg_create_restore_point($1)', [name]);
      return { before, firstAfter: next };
    },
    async stop() {
      stopped = true;
      await writing;
      throwFailure();
      return { before: acknowledged, firstAfter: next };
    },
  };
}

/** A recovered database holds what was acknowledged before the mark, nothing begun after it, and no half transaction. */
export async function checkLedger(postgres: Postgres, { before, firstAfter }: Mark): Promise<void> {
  const rows = await postgres.query<{ id: number }>('select id::int from entry');
  const found = new Set(rows.map(({ id }) => id));
  const lost = [...before].filter((id) => !found.has(id));
  assert.deepEqual(lost.slice(0, 5), [], `${lost.length} of ${before.size} acknowledged transactions are lost`);
  assert.deepEqual(
    [...found].filter((id) => id >= firstAfter),
    [],
    'a transaction that was begun after the target is there',
  );
  const damaged = 'select id from entry where md5(content) <> checksum';
  assert.deepEqual(await postgres.query(damaged), []);
  const halves = `
    select id from account left join (
      select account, sum(change) as total from (
        select source as account, -amount as change from entry union all select target, amount from entry
      ) as change group by account
    ) as moved on moved.account = id
    where balance <> coalesce(total, 0)`;
  assert.deepEqual(await postgres.query(halves), [], 'balances are the sums of the entries');
  await checkPages(postgres);
}

/** Every table and every B-tree of the database, whatever it belongs to. */
async function checkPages(postgres: Postgres): Promise<void> {
  const tables = `
    select relname, damage.* from pg_class, lateral verify_heapam(oid) as damage
    where relkind in ('r', 't', 'm') and relpersistence = 'p'`;
  assert.deepEqual(await postgres.query(tables), []);
  await postgres.query(`
    select bt_index_check(pg_class.oid, true) from pg_class
    join pg_am on pg_am.oid = relam join pg_index on indexrelid = pg_class.oid
    where amname = 'btree' and relkind = 'i' and relpersistence = 'p' and indisvalid`);
}
