// The instance process without any work: how long until it serves, what it keeps, what a handshake with it costs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cleanup } from '../demo/cleanup.ts';
import type { KubeApi } from '../kube-api.ts';
import { connectPlugin } from '../manager/plugin.ts';
import type { HooksOptions } from './hooks-options.ts';
import { residentMiB } from './process-figures.ts';
import { quantile } from './quantile.ts';
import type { Report } from './report.ts';

const ENTRY = join(dirname(dirname(import.meta.dirname)), 'main.ts');
/** The first handshakes are the compiler's. */
const WARM_UP = 10;
/** Until then the garbage of the start has been collected, or never will be. */
const IDLE_MS = 3000;

export async function measureInstance(
  { repeats }: HooksOptions,
  report: Report,
  kubeApi: Pick<KubeApi, 'host' | 'port' | 'writeServiceAccount'>,
  cleanup: Cleanup,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'cellar-bench-'));
  cleanup.add(() => rm(folder, { recursive: true, force: true }));
  const env = await environmentIn(folder, kubeApi);
  const startMs: number[] = [];
  // The first one fills the compile cache, which stands for the image's JavaScript.
  for (let run = 0; run <= repeats; run += 1) {
    const instance = await start(env, cleanup);
    if (run > 0) startMs.push(instance.startMs);
    if (run < repeats) {
      await instance.stop();
      continue;
    }
    const goal = { value: { atMost: 600 } };
    report.add({ name: 'instance process, start to serving, median', value: quantile(startMs, 0.5), unit: 'ms', goal });
    await delay(IDLE_MS);
    const idle = residentMiB(instance.pid);
    report.add({ name: 'instance process, idle, resident', value: idle, unit: 'MiB', goal: { value: { atMost: 90 } } });
    await measureHandshake(env.CELLAR_PLUGINS_FOLDER, repeats, report);
    await instance.stop();
  }
}

/** Connecting, the calls that come before the one that archives, and closing. */
async function measureHandshake(pluginsFolder: string, repeats: number, report: Report): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < WARM_UP + repeats * 10; round += 1) {
    const started = performance.now();
    (await connectPlugin(pluginsFolder)).close();
    if (round >= WARM_UP) times.push(performance.now() - started);
  }
  const note = 'connection, and the calls before every WAL file';
  report.add({ name: 'handshake, p50', value: quantile(times, 0.5), unit: 'ms', goal: { value: { atMost: 5 } }, note });
  report.add({ name: 'handshake, p99', value: quantile(times, 0.99), unit: 'ms' });
}

async function start(env: Record<string, string> & { CELLAR_PLUGINS_FOLDER: string }, cleanup: Cleanup) {
  const started = performance.now();
  const child = spawn(process.execPath, [ENTRY, 'instance', '--log-level=error'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'close');
  cleanup.add(async () => child.kill('SIGKILL'));
  for (;;) {
    try {
      (await connectPlugin(env.CELLAR_PLUGINS_FOLDER)).close();
      break;
    } catch (error) {
      if (child.exitCode !== null) throw error;
      await delay(5);
    }
  }
  const startMs = performance.now() - started;
  return {
    ...{ pid: child.pid ?? 0, startMs },
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function environmentIn(folder: string, kubeApi: Pick<KubeApi, 'host' | 'port' | 'writeServiceAccount'>) {
  const folders = { plugins: join(folder, 'plugins'), spool: join(folder, 'spool'), account: join(folder, 'account') };
  const pgdata = join(folder, 'pgdata');
  await mkdir(join(pgdata, 'pg_wal', 'archive_status'), { recursive: true });
  await kubeApi.writeServiceAccount(folders.account, 'default');
  return {
    PATH: process.env.PATH ?? '',
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
    ...{ MALLOC_ARENA_MAX: '2', UV_THREADPOOL_SIZE: '8' },
    ...{ NAMESPACE: 'default', CLUSTER_NAME: 'idle', POD_NAME: 'idle-1', PGDATA: pgdata, TMPDIR: folder },
    SPOOL_DIRECTORY: folders.spool,
    CELLAR_PLUGINS_FOLDER: folders.plugins,
    CELLAR_SERVICE_ACCOUNT_FOLDER: folders.account,
    KUBERNETES_SERVICE_HOST: kubeApi.host,
    KUBERNETES_SERVICE_PORT: String(kubeApi.port),
  };
}
