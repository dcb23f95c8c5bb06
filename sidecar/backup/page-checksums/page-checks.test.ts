import assert from 'node:assert/strict';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseLsn } from '../../../api/wal-name.ts';
import { silentLog } from '../../../api/wire/log.ts';
import { findPostgres, initDatabase, installedMajors, type Postgres, startPostgres } from '../../../test/postgres.ts';
import { makeShortFolder, unprivilegedAccount } from '../../../test/unprivileged.ts';
import { walkTree } from '../tree.ts';
import { PAGE_BYTES } from './checksum.ts';
import { type PageFacts, preparePageChecks } from './page-checks.ts';
import { isRelationFile } from './relation-file.ts';

const FACTS: PageFacts = { dataChecksums: 'on', blockSizeBytes: 8192, segmentBlocks: 131_072 };
const ALL = process.env.CELLAR_ALL === '1';
const MAJORS = installedMajors().filter((major) => ALL || major === 14 || major === 18);

test('clusters without checksums, or with pages of another size, are not checked', () => {
  for (const facts of [
    { ...FACTS, dataChecksums: 'off' },
    { ...FACTS, blockSizeBytes: 16_384 },
  ]) {
    assert.equal(prepare(facts, 1n), undefined);
  }
});

for (const major of MAJORS) {
  describe(`PostgreSQL ${major}`, () => {
    let folder = '';
    let pgdata = '';
    let server: Postgres | undefined;
    let start: () => Promise<Postgres>;
    /** From this LSN on there is nothing in the cluster. */
    let endLsn = 0n;
    let table = '';
    let facts = FACTS;

    before(async () => {
      folder = await makeShortFolder('cellar-pages-');
      pgdata = join(folder, 'pgdata');
      const account = unprivilegedAccount();
      await account.own(folder);
      const programs = await findPostgres(account, folder, major);
      const logFile = join(folder, 'log');
      await initDatabase({ programs, account, pgdata, logFile, checksums: true });
      await mkdir(join(folder, 'space'));
      await account.own(join(folder, 'space'));
      start = () => startPostgres({ programs, account, pgdata, socketFolder: join(folder, 's'), logFile });
      server = await start();
      for (const sql of contents(join(folder, 'space'))) await server.query(sql);
      facts = await readFacts(server);
      table = (await first(server, "SELECT pg_relation_filepath('plain') AS answer")) ?? '';
      await server.query('CHECKPOINT');
      await server.stop();
      server = await start();
      endLsn = parseLsn((await first(server, 'SELECT pg_current_wal_insert_lsn() AS answer')) ?? '');
      await server.stop();
    });
    after(async () => {
      await server?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    test('every relation file of a stopped cluster verifies', async () => {
      const { report, files, pages } = await checkAll(endLsn);
      assert.deepEqual(report, { blocks: [], total: 0 });
      for (const kind of [/_fsm$/, /_vm$/, /_init$/, /^global\//, /^pg_tblspc\//]) {
        assert.ok(
          files.some((file) => kind.test(file)),
          `no file ${kind}`,
        );
      }
      assert.ok(pages > 3000, `${pages} pages`);
    });

    test('pages at other blocks of their relation are all found, unless the file is gone', async () => {
      const content = await readFile(join(pgdata, table));
      const checks = prepare(facts, endLsn);
      await checks?.checkerFor(`${table}.1`, join(pgdata, 'gone'))?.inspect(Buffer.from(content), 0);
      await checks?.checkerFor(`${table}.1`, join(pgdata, table))?.inspect(Buffer.from(content), 0);
      const report = checks?.finish();
      assert.equal(report?.total, content.length / PAGE_BYTES);
      assert.equal(report.blocks[0]?.block, 131_072);
    });

    test('one byte that is wrong on the disk is reported by relation and block', async () => {
      const block = 17;
      await flipByte(join(pgdata, table), block * PAGE_BYTES + 5000);
      try {
        const { report } = await checkAll(endLsn);
        assert.equal(report.total, 1);
        const { expected, found, ...where } = report.blocks[0] ?? { expected: 0, found: 0 };
        assert.deepEqual(where, { relation: table, fork: 'main', path: table, block });
        assert.notEqual(expected, found);
        // Every page is newer than the beginning of all WAL.
        assert.equal((await checkAll(1n)).report.total, 0);
      } finally {
        await flipByte(join(pgdata, table), block * PAGE_BYTES + 5000);
      }
    });

    test('a page that is whole on the disk is taken from there', async () => {
      const content = await readFile(join(pgdata, table));
      const piece = content.subarray(8 * PAGE_BYTES, 16 * PAGE_BYTES);
      const torn = Buffer.from(piece).fill(0, 3 * PAGE_BYTES + 512, 4 * PAGE_BYTES);
      const checks = prepare(facts, endLsn);
      await checks?.checkerFor(table, join(pgdata, table))?.inspect(torn, 8 * PAGE_BYTES);
      assert.equal(checks?.finish().total, 0);
      assert.ok(torn.equals(piece));
    });

    test('a cluster that is written to meanwhile verifies, with the start LSN of the backup', async () => {
      server = await start();
      const session = await server.connect();
      const begin = major < 15 ? "pg_start_backup('check', true, false)" : "pg_backup_start('check', true)";
      const { rows } = await session.query<{ lsn: string }>(`SELECT ${begin} AS lsn`);
      const writer = await server.connect();
      let done = false;
      const writing = (async () => {
        while (!done) {
          await writer.query('UPDATE plain SET i = i + 1 WHERE i % 5 = 0');
          await writer.query('CHECKPOINT');
        }
      })();
      try {
        const { report } = await checkAll(parseLsn(rows[0]?.lsn ?? ''));
        assert.deepEqual(report, { blocks: [], total: 0 });
      } finally {
        done = true;
        await writing;
        await Promise.all([session.end(), writer.end()]);
        await server.stop();
      }
    });

    async function checkAll(startLsn: bigint) {
      const checks = prepare(facts, startLsn);
      assert.ok(checks !== undefined);
      const files: string[] = [];
      let pages = 0;
      const inspectTree = async (root: string, prefix: string): Promise<void> => {
        for await (const { path, kind, source } of walkTree(root, () => 'take', new AbortController().signal)) {
          const checker = kind === 'file' ? checks.checkerFor(prefix + path, source) : undefined;
          if (checker === undefined) continue;
          const content = await readFile(source);
          await checker.inspect(content, 0);
          files.push(prefix + path);
          pages += content.length / PAGE_BYTES;
        }
      };
      await inspectTree(pgdata, '');
      await inspectTree(join(folder, 'space'), 'pg_tblspc/16384/');
      assert.ok(files.every(isRelationFile));
      return { report: checks.finish(), files, pages };
    }
  });
}

function prepare(facts: PageFacts, startLsn: bigint) {
  return preparePageChecks({ facts, startLsn, signal: new AbortController().signal, log: silentLog() });
}

/** Every access method, every fork, pages that were never initialised, a tablespace. */
function contents(space: string): string[] {
  return [
    `CREATE TABLESPACE other LOCATION '${space}'`,
    `CREATE TABLE plain AS SELECT i, md5(i::text) AS text, point(i, i) AS place, ARRAY[i, i + 1] AS list
       FROM generate_series(1, 20000) AS i`,
    'CREATE INDEX ON plain USING btree (text)',
    'CREATE INDEX ON plain USING hash (text)',
    'CREATE INDEX ON plain USING gist (place)',
    'CREATE INDEX ON plain USING spgist (place)',
    'CREATE INDEX ON plain USING gin (list)',
    'CREATE INDEX ON plain USING brin (i)',
    'CREATE TABLE elsewhere TABLESPACE other AS SELECT * FROM plain',
    'CREATE UNLOGGED TABLE unlogged AS SELECT * FROM plain',
    'CREATE INDEX ON unlogged USING gist (place)',
    `CREATE TABLE wide AS SELECT i, string_agg(md5((i * n)::text), '') AS toasted
       FROM generate_series(1, 100) AS i, generate_series(1, 400) AS n GROUP BY i`,
    'DELETE FROM plain WHERE i % 3 = 0',
    'VACUUM plain',
    'SELECT count(*) FROM plain',
  ];
}

async function readFacts(server: Postgres): Promise<PageFacts> {
  const [row] = await server.query<{ checksums: string; block: string; segment: string }>(
    `SELECT current_setting('data_checksums') AS checksums, current_setting('block_size') AS block,
       (SELECT setting FROM pg_settings WHERE name = 'segment_size') AS segment`,
  );
  assert.ok(row !== undefined);
  return { dataChecksums: row.checksums, blockSizeBytes: Number(row.block), segmentBlocks: Number(row.segment) };
}

async function first(server: Postgres, sql: string): Promise<string | undefined> {
  return (await server.query<{ answer: string }>(sql))[0]?.answer;
}

async function flipByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    await file.write(Buffer.from([byte.readUInt8(0) ^ 0x10]), 0, 1, offset);
  } finally {
    await file.close();
  }
}
