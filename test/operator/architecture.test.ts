// The picture in docs/architecture.md is kept true: each process announces exactly the services that stand in its box.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PluginCapability_Service_Type as Service } from '../../api/proto/gen/identity.ts';
import { startKubeApi } from '../kube-api.ts';
import { connectPlugin } from '../manager/plugin.ts';
import { discover } from './discovery.ts';
import { createPool } from './pool.ts';
import { OPERATOR_NAMESPACE, startOperatorProcess } from './process.ts';

const REPOSITORY = dirname(dirname(import.meta.dirname));
/** Announcements that are services; the others are flags. */
const SERVICES = new Map<Service, string>([
  [Service.TYPE_LIFECYCLE_SERVICE, 'OperatorLifecycle'],
  [Service.TYPE_RECONCILER_HOOKS, 'ReconcilerHooks'],
  [Service.TYPE_WAL_SERVICE, 'WAL'],
  [Service.TYPE_BACKUP_SERVICE, 'Backup'],
  [Service.TYPE_METRICS, 'Metrics'],
  [Service.TYPE_RESTORE_JOB, 'RestoreJobHooks'],
  [Service.TYPE_OPERATOR_SERVICE, 'Operator'],
  [Service.TYPE_POSTGRES, 'Postgres'],
]);

test("the operator's door", async (t) => {
  const kubeApi = await startKubeApi();
  t.after(() => kubeApi.stop());
  const operator = await startOperatorProcess({ kubeApi });
  t.after(() => operator.stop());
  const [plugin] = discover(operator.deployed, OPERATOR_NAMESPACE).plugins.values();
  assert.ok(plugin);
  const pool = createPool(plugin, () => operator.address);
  const { connection, giveBack } = await pool.take();
  assert.deepEqual(named(connection.services), await drawn('door'));
  giveBack();
  pool.close();
});

for (const program of ['instance', 'restore'] as const) {
  test(`the sidecar of ${program === 'instance' ? 'an instance Pod' : 'a recovery Job'}`, async (t) => {
    assert.deepEqual(named(await servicesOf(t, program)), await drawn(program));
  });
}

/** What a box of the picture lists below its title, without what every process has. */
async function drawn(box: string): Promise<string[]> {
  const page = await readFile(join(REPOSITORY, 'docs/architecture.md'), 'utf8');
  const [, list = ''] = new RegExp(`^ *${box}\\[[^\\]]*<br/>([^\\]]*)\\]$`, 'm').exec(page) ?? [];
  return list
    .split(', ')
    .filter((word) => word !== 'Identity' && word !== 'health')
    .sort();
}

function named(services: ReadonlySet<Service>): string[] {
  return [...services].flatMap((service) => SERVICES.get(service) ?? []).sort();
}

async function servicesOf(t: TestContext, program: string): Promise<ReadonlySet<Service>> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-picture-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'pgdata', 'pg_wal', 'archive_status'), { recursive: true });
  const env = {
    PATH: process.env.PATH ?? '',
    ...{ NAMESPACE: 'default', CLUSTER_NAME: 'orders', POD_NAME: 'orders-1', TMPDIR: folder },
    PGDATA: join(folder, 'pgdata'),
    SPOOL_DIRECTORY: join(folder, 'spool'),
    CELLAR_PLUGINS_FOLDER: join(folder, 'plugins'),
    CELLAR_SERVICE_ACCOUNT_FOLDER: join(folder, 'account'),
  };
  const child = spawn(process.execPath, [join(REPOSITORY, 'main.ts'), program, '--log-level=error'], { env });
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  for (;;) {
    try {
      const connection = await connectPlugin(env.CELLAR_PLUGINS_FOLDER);
      connection.close();
      return connection.services;
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await delay(20);
    }
  }
}
