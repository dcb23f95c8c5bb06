// The instance manager of a Pod in the box: a double that keeps the real one's command lines and takes the Cluster from the
// API server with the Pod's own token (cnpg-i-contract.md §5.1 to §5.6).
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { PLUGINS_MOUNT } from '../../../api/names.ts';
import { fixedSettings, write, writeConfiguration } from '../../manager/configuration.ts';
import { configureRecovery, restoreThroughPlugin } from '../../manager/restore.ts';
import type { ManagerSettings } from '../../manager/settings.ts';
import { archiveWal } from '../../manager/wal-archive.ts';
import { restoreWal } from '../../manager/wal-restore.ts';
import { findPostgres, initDatabase, type Postgres, startPostgres } from '../../postgres.ts';
import { unprivilegedAccount } from '../../unprivileged.ts';
import { readOwnCluster } from './own-cluster.ts';

const CONTROLLER = '/controller';
const PROGRAM = `${CONTROLLER}/manager`;
const LOG = `${CONTROLLER}/postgres.log`;
const POLL_MS = 500;

const { PGDATA: pgdata = '', POD_NAME: podName = '' } = process.env;
const settings: ManagerSettings = {
  ...{ podName, pgdata, pluginsFolder: PLUGINS_MOUNT },
  ...{ clusterFile: `${CONTROLLER}/cluster.json`, timingsFile: `${CONTROLLER}/wal-commands.jsonl` },
};
const account = unprivilegedAccount();
const programs = await findPostgres(account, CONTROLLER);

const options = { 'log-destination': { type: 'string' } } as const;
const { positionals } = parseArgs({ options, allowPositionals: true, strict: false });
const [command = '', first = '', second = ''] = positionals;
try {
  if (command === 'wal-archive') await archiveWal(settings, first);
  else if (command === 'wal-restore') await restoreWal(settings, first, second);
  else if (command === 'instance' && first === 'init') await initDatabase({ programs, account, pgdata, logFile: LOG });
  else if (command === 'instance' && first === 'restore') await restoreInstance();
  else if (command === 'instance' && first === 'run') await runInstance();
  else throw new Error('unknown command');
} catch (error) {
  console.error(`manager ${positionals.join(' ')}: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

/** Runs PostgreSQL until SIGTERM, and renews the cached Cluster meanwhile. */
async function runInstance(): Promise<void> {
  await cacheCluster();
  const archive = `${PROGRAM} wal-archive --log-destination ${CONTROLLER}/log/postgres.json %p`;
  await writeConfiguration(pgdata, account, fixedSettings(archive));
  // The test that asks for rows is another user on the same socket.
  await write(pgdata, account, 'pg_hba.conf', 'local all all trust\nlocal replication all trust\n');
  const postgres = await start();
  process.once('SIGTERM', () => void postgres.stop());
  while (postgres.process.result() === undefined) {
    await cacheCluster().catch((error) => console.error(error));
    await Promise.race([delay(POLL_MS), postgres.process.ended]);
  }
  process.exitCode = postgres.process.result()?.code ?? 1;
}

/** Fills PGDATA through the plugin, lets PostgreSQL recover until it has promoted itself, and ends. */
async function restoreInstance(): Promise<void> {
  const cluster = await cacheCluster();
  const answer = await restoreThroughPlugin(PLUGINS_MOUNT, cluster, pgdata);
  const controllerFolder = CONTROLLER;
  const postgres = await start(await configureRecovery({ account, pgdata, controllerFolder, cluster, answer }));
  const recovers = async (): Promise<boolean> => {
    const [row] = await postgres.query<{ recovers: boolean }>('SELECT pg_is_in_recovery() AS recovers');
    return row?.recovers !== false;
  };
  while (await recovers()) await delay(POLL_MS);
  await postgres.stop();
}

/** PostgreSQL gives its environment to the commands that it runs, which are this program again. */
function start(more: Record<string, string> = {}): Promise<Postgres> {
  const env = { ...more, PGDATA: pgdata, POD_NAME: podName };
  return startPostgres({ programs, account, pgdata, socketFolder: `${CONTROLLER}/run`, logFile: LOG, env });
}

async function cacheCluster() {
  const cluster = await readOwnCluster();
  await writeFile(settings.clusterFile, JSON.stringify(cluster));
  return cluster;
}
