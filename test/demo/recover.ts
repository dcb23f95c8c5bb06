// Step 7, first half: the recovery Job through the lifecycle hook, Restore into an empty folder, recovery to the noted
// second.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../../api/kube.ts';
import { PLUGINS_MOUNT, SIDECAR_CONTAINER } from '../../api/names.ts';
import type { LocalPod } from '../kubelet.ts';
import type { InstalledManager } from '../manager/install.ts';
import { configureRecovery, restoreThroughPlugin } from '../manager/restore.ts';
import { recoveryJob } from '../operator-objects.ts';
import { type Postgres, startPostgres } from '../postgres.ts';
import { tailOf } from '../process.ts';
import { readTimings } from './archive.ts';
import { type BackupTaken, rate } from './backup.ts';
import { renderDifference } from './difference.ts';
import { asObject } from './documents.ts';
import { CONTROLLER, clusterOf, manage, type Parts, PGDATA, pathIn, SOCKET_FOLDER } from './parts.ts';
import { expect, mebibytes, type Step, seconds } from './report.ts';

export type Recovered = { cluster: Cluster; restoreMs: number; sidecarPeakBytes: number };

const ROLE = 'full-recovery';
const RECOVERY_LIMIT_MS = 120_000;
const TICK_MS = 500;

/** Runs the Job as operator, kubelet and manager would; PGDATA of the new instance is left recovered and stopped. */
export async function recover(
  step: Step,
  parts: Parts,
  document: Cluster,
  backup: BackupTaken,
  targetTime: string,
): Promise<Recovered> {
  const wanted = structuredClone(document);
  const recovery = wanted.spec.bootstrap?.recovery;
  if (recovery === undefined) throw new Error('the fixture cluster-restore has no bootstrap.recovery');
  recovery.recoveryTarget = { targetTime };
  await parts.kubeApi.apply(asObject(wanted));
  const cluster = clusterOf(parts, wanted.metadata.name);
  const pod = await injectJob(step, parts, cluster);

  const sidecar = await parts.kubelet.startSidecar(pod, SIDECAR_CONTAINER);
  parts.cleanup.add(() => sidecar.stop());
  const manager = await manage(parts, pod, cluster, ROLE);
  const pgdata = pathIn(parts, pod, PGDATA, ROLE);
  const started = performance.now();
  const ticker = setInterval(() => step.progress(`${seconds(performance.now() - started)}: restoring`), TICK_MS);
  const plugins = pathIn(parts, pod, PLUGINS_MOUNT, ROLE);
  const answer = await restoreThroughPlugin(plugins, cluster, pgdata).finally(() => clearInterval(ticker));
  const restoreMs = performance.now() - started;
  expect(existsSync(join(pgdata, 'PG_VERSION')), 'a data folder filled by Restore', `no PG_VERSION in ${pgdata}`);
  step.say(
    `Restore        ${mebibytes(backup.sizeBytes)} in ${seconds(restoreMs)}, ${rate(backup.sizeBytes, restoreMs)}`,
  );
  step.say(answer.restoreConfig.trim().replaceAll(/^/gm, '  '));

  const controllerFolder = pathIn(parts, pod, CONTROLLER, ROLE);
  const env = await configureRecovery({ account: parts.account, pgdata, controllerFolder, cluster, answer });
  const replaying = performance.now();
  await replay(step, parts, pod, manager, { pgdata, env, targetTime });
  const asked = await readTimings(manager);
  const found = asked.filter(({ ok }) => ok).length;
  step.say(
    `replay         to ${targetTime} in ${seconds(performance.now() - replaying)}: ${asked.length} WAL files asked for, ${found} found, the others do not exist (later timelines, the end of WAL)`,
  );
  const sidecarPeakBytes = sidecar.peakMemoryBytes() ?? 0;
  await sidecar.stop();
  return { cluster, restoreMs, sidecarPeakBytes };
}

async function injectJob(step: Step, parts: Parts, cluster: Cluster): Promise<LocalPod> {
  await parts.operator.reconcile(cluster);
  const original = recoveryJob(cluster, { major: parts.programs.major });
  const { job, operations } = await parts.operator.createJob(cluster, original);
  const name = job.metadata?.name ?? '';
  step.say(`Job ${name}: CREATE; RFC 6902 patch of ${operations.length} operations, applied:`);
  step.say(renderDifference(original.spec.template.spec, job.spec.template.spec));
  return { name, namespace: job.metadata?.namespace ?? '', spec: job.spec.template.spec };
}

/** Starts PostgreSQL on the restored folder, waits for the promotion, and stops it again, as the Job does. */
async function replay(
  step: Step,
  parts: Parts,
  pod: LocalPod,
  manager: InstalledManager,
  recovery: { pgdata: string; env: Record<string, string>; targetTime: string },
): Promise<void> {
  const { programs, account } = parts;
  const postgres = await startPostgres({
    programs,
    account,
    pgdata: recovery.pgdata,
    socketFolder: pathIn(parts, pod, SOCKET_FOLDER, ROLE),
    logFile: join(parts.logFolder, `${pod.name}.postgres.log`),
    env: recovery.env,
  });
  parts.cleanup.add(() => postgres.stop('immediate'));
  await waitForPromotion(step, postgres, manager, recovery.targetTime);
  await postgres.stop();
}

async function waitForPromotion(
  step: Step,
  postgres: Postgres,
  manager: InstalledManager,
  targetTime: string,
): Promise<void> {
  const deadline = performance.now() + RECOVERY_LIMIT_MS;
  for (;;) {
    const result = postgres.process.result();
    const log = (): string => tailOf(postgres.process.logFile);
    expect(result === undefined, `recovery to ${targetTime} and promotion`, () => `PostgreSQL ended:\n${log()}`);
    const [row] = await postgres
      .query<{ recovering: boolean }>('select pg_is_in_recovery() as recovering')
      // A server that gives up between two questions is told apart above.
      .catch(() => []);
    if (row?.recovering === false) return;
    expect(
      performance.now() < deadline,
      `recovery within ${RECOVERY_LIMIT_MS / 1000} s`,
      () => `still replaying:\n${log()}`,
    );
    step.progress(`${(await readTimings(manager)).length} WAL files asked for`);
    await delay(100);
  }
}
