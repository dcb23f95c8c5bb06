// One cell: a server is backed up under load by one party, restored by the other, and replayed to a target.
import assert from 'node:assert/strict';
import { mkdir, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RecoveryTarget } from '../../../api/kube.ts';
import type { ObjectStorage } from '../../../sidecar/store/store.ts';
import { createCleanup } from '../../demo/cleanup.ts';
import { archiveEverything } from '../../demo/workload.ts';
import { configureRecovery } from '../../manager/restore.ts';
import { type Postgres, type PostgresPrograms, startPostgres } from '../../postgres.ts';
import { tailOf } from '../../process.ts';
import type { Account } from '../../unprivileged.ts';
import type { StoreForBarman } from '../barman.ts';
import type { Cell, Target } from './cells.ts';
import { type Errands, runErrands } from './errands.ts';
import { addRows, type Fingerprint, fingerprint, type Origin, startOrigin, TABLESPACES, underLoad } from './origin.ts';
import { barmanParty, cellarParty, type Party, recoveringCluster } from './parties.ts';
import { openPlace, type Place } from './place.ts';

/** What all cells of a major share. */
export type House = {
  folder: string;
  account: Account;
  programs: PostgresPrograms;
  template: string;
  storage: ObjectStorage;
  store: StoreForBarman;
  /** Where the programs of barman 3.4 are. */
  oldBarman: string | undefined;
};

const LIMIT_MS = 120_000;
/** Small enough for several parts of every codec. */
const SMALL_ARCHIVE = '2MB';
const SUFFIXES = { gzip: '.gz', bzip2: '.bz2', snappy: '.snappy', lz4: '.lz4', none: '' } as const;

/** Runs it and removes what it made; throws what does not hold, with what the servers said. */
export async function runCell(house: House, cell: Cell): Promise<void> {
  const name = `${cell.writer}-${cell.major}-${cell.codec}-${cell.layout}`.replaceAll(/[ .]/g, '-');
  const folder = join(house.folder, name);
  await mkdir(folder);
  await house.account.own(folder);
  const cleanup = createCleanup();
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  try {
    const place = openPlace({
      ...{ storage: house.storage, server: name, codec: cell.codec },
      store: cell.writer === 'barman 3.4' ? { ...house.store, programs: house.oldBarman ?? '' } : house.store,
      ...(cell.layout === 'several parts' ? { maxArchiveSize: SMALL_ARCHIVE } : {}),
      ...(cell.layout === 'tablespaces'
        ? { relocations: [...relocated(folder)].slice(1).map((pair) => pair.join(':')) }
        : {}),
    });
    const writer = cell.writer === 'cellar' ? cellarParty(place, folder) : barmanParty(place);
    const reader = cell.reader === 'cellar' ? cellarParty(place, folder) : barmanParty(place);
    for (const party of [writer, reader]) cleanup.add(() => party.stop());
    const work: Work = { house, cell, folder, place, add: cleanup.add };
    const written = await write(work, writer);
    await restoreAndCompare(work, reader, written);
  } finally {
    await cleanup.run();
  }
}

type Work = {
  house: House;
  cell: Cell;
  folder: string;
  place: Place;
  add(undo: () => Promise<unknown>): void;
};

type Written = {
  id: string;
  target: RecoveryTarget;
  /** At the target. */
  expected: Fingerprint;
};

async function write(work: Work, writer: Party): Promise<Written> {
  const { house, cell, folder } = work;
  const errands = await startErrands(work, 'origin-controller', writer);
  const origin = await startOrigin({
    ...house,
    folder,
    layout: cell.layout,
    archiveCommand: `${errands.manager} wal-archive %p`,
  });
  work.add(() => origin.postgres.stop('immediate'));
  const id = await underLoad(origin, () => writer.backUp(origin)).catch((cause: unknown) => {
    throw new Error(`the backup failed; ${said(errands, origin.logFile)}`, { cause });
  });
  await checkObjects(work, id);

  await addRows(origin, 1000);
  const target = await setTarget(origin, cell.target, id);
  const expected = await fingerprint(origin.client, origin.tablespaces.size);
  if (cell.target !== 'name') await delay(5);
  await addRows(origin, 1000);
  await archiveEverything(
    origin.client,
    LIMIT_MS,
    () => {},
    async () => said(errands, origin.logFile),
  );
  await origin.client.end();
  await origin.postgres.stop('immediate');
  await errands.stop();
  // Nothing of it may serve the restored server.
  await rm(join(folder, 'origin'), { recursive: true });
  return { id, target, expected };
}

/** The layout that the cell is about is really what was stored. */
async function checkObjects({ cell, place }: Work, id: string): Promise<void> {
  const names: string[] = [];
  const folder = place.archive.keys.backup(id);
  for await (const { key } of place.archive.storage.list(folder)) names.push(key.slice(folder.length));
  const suffix = SUFFIXES[cell.codec];
  assert.ok(names.includes(`data.tar${suffix}`), names.join(' '));
  assert.equal(names.includes(`data_0001.tar${suffix}`), cell.layout === 'several parts', names.join(' '));
  const tablespaces = names.filter((name) => /^\d+\.tar/.test(name) && name.endsWith(`.tar${suffix}`));
  assert.equal(tablespaces.length, cell.layout === 'tablespaces' ? 2 : 0, names.join(' '));
}

async function setTarget({ client }: Origin, kind: Target, id: string): Promise<RecoveryTarget> {
  if (kind === 'name') {
    await client.query("SELECT pg_create_restore_point('the target')");
    // CloudNativePG takes names only with a backup.
    return { targetName: 'the target', backupID: id };
  }
  const now = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";
  const { rows } = await client.query(`SELECT pg_current_wal_insert_lsn()::text AS lsn, ${now} AS time`);
  return kind === 'lsn' ? { targetLSN: rows[0].lsn } : { targetTime: rows[0].time };
}

async function restoreAndCompare(work: Work, reader: Party, written: Written): Promise<void> {
  const { house, cell, folder, place } = work;
  const { account, programs } = house;
  const pgdata = join(folder, 'restored', 'pgdata');
  const walFolder = cell.layout === 'pg_wal as a link' ? join(folder, 'restored', 'wal') : undefined;
  await mkdir(join(folder, 'restored'));
  const tablespacesFolder = join(folder, 'restored', 'tablespaces');
  const tablespaces = cell.layout === 'tablespaces' ? relocated(folder) : new Map<string, string>();
  const recovering = recoveringCluster(place);
  const cluster = {
    ...recovering,
    spec: {
      ...recovering.spec,
      bootstrap: { recovery: { source: 'origin', recoveryTarget: written.target } },
      tablespaces: [...tablespaces.keys()].slice(0, 1).map((name) => ({ name })),
      ...(walFolder === undefined ? {} : { walStorage: { size: '1Gi' } }),
    },
  };
  const answer = await reader.restore({ id: written.id, pgdata, walFolder, tablespaces, tablespacesFolder, cluster });
  await account.own(join(folder, 'restored'));
  if (walFolder !== undefined && cell.reader === 'cellar') {
    assert.equal(await readlink(join(pgdata, 'pg_wal')), join(walFolder, 'pg_wal'));
  }
  await checkLinks(pgdata, [...tablespaces.values()]);

  const errands = await startErrands(work, 'restored-controller', reader);
  const controllerFolder = join(folder, 'restored-controller');
  const env = await configureRecovery({ account, pgdata, controllerFolder, cluster, answer });
  const logFile = join(folder, 'restored.log');
  const socketFolder = join(folder, 'restored-run');
  const restored = await startPostgres({
    ...{ programs, account, pgdata, socketFolder, logFile, env },
    settings: { fsync: 'off' },
  }).catch((cause: unknown) => {
    throw new Error(`the restored server did not start; ${said(errands, logFile)}`, { cause });
  });
  work.add(() => restored.stop('immediate'));
  await promoted(restored, () => said(errands, logFile));
  const client = await restored.connect();
  assert.deepEqual(await fingerprint(client, tablespaces.size), written.expected);
  await client.end();
  await restored.stop('immediate');
  await errands.stop();
  assert.deepEqual(errands.failures, []);
}

/** Where the tablespaces go. We are told of the first by the Cluster, of the second by the ObjectStore. */
function relocated(folder: string): Map<string, string> {
  const [first, second] = TABLESPACES;
  return new Map([
    [first, join(folder, 'restored', 'tablespaces', first, 'data')],
    [second, join(folder, 'restored', 'elsewhere')],
  ]);
}

async function checkLinks(pgdata: string, locations: string[]): Promise<void> {
  const links = await readdir(join(pgdata, 'pg_tblspc'));
  const found = await Promise.all(links.map((link) => readlink(join(pgdata, 'pg_tblspc', link))));
  assert.deepEqual(found.sort(), locations.sort());
}

async function promoted(postgres: Postgres, explain: () => string): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const ended = postgres.process.result();
    assert.equal(ended, undefined, `the restored server ended; ${explain()}`);
    const [row] = await postgres
      .query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering')
      // A server that gives up between two questions is told apart above.
      .catch(() => []);
    if (row?.recovering === false) return;
    assert.ok(performance.now() < deadline, `the restored server is still in recovery; ${explain()}`);
    await delay(50);
  }
}

async function startErrands(work: Work, controller: string, party: Party): Promise<Errands> {
  const folder = join(work.folder, controller);
  await mkdir(folder);
  const errands = await runErrands(folder, work.house.account, party);
  work.add(() => errands.stop());
  return errands;
}

function said(errands: Errands, logFile: string): string {
  return `errands: ${errands.failures.join('; ') || 'no failure'}; its log ends with\n${tailOf(logFile, 30)}`;
}
