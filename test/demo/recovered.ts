// Step 7, second half: the recovered instance starts in its Pod; its rows are compared, and it archives a new timeline to
// the second store.
import { join } from 'node:path';
import type { Cluster } from '../../api/kube.ts';
import { startPostgres } from '../postgres.ts';
import { lastFailure, startInstanceSidecar } from './archive.ts';
import { injectPod } from './inject.ts';
import { CONTROLLER, type Instance, type Parts, PGDATA, pathIn, SOCKET_FOLDER } from './parts.ts';
import { expect, mebibytes, type Step, silentStep } from './report.ts';
import { archiveEverything, type Fingerprint, fingerprint, insertOrders } from './workload.ts';

const SOME_ROWS = 1_000;
const LIMIT_MS = 120_000;

/** Starts the recovered instance and checks what it holds and where it archives; returns its sidecar's peak, bytes. */
export async function checkRecovered(
  step: Step,
  parts: Parts,
  cluster: Cluster,
  before: Fingerprint,
): Promise<{ sidecarPeakBytes: number; instance: Instance }> {
  const { programs, account } = parts;
  const pod = await injectPod(silentStep, parts, cluster);
  await parts.kubelet.prepare(pod);
  const pgdata = pathIn(parts, pod, PGDATA);
  const postgres = await startPostgres({
    programs,
    account,
    pgdata,
    socketFolder: pathIn(parts, pod, SOCKET_FOLDER),
    logFile: join(parts.logFolder, `${pod.name}.postgres.log`),
  });
  parts.cleanup.add(() => postgres.stop('immediate'));
  const instance = { pod, pgdata, controllerFolder: pathIn(parts, pod, CONTROLLER), postgres };

  const after = await fingerprint(postgres);
  expect(after.rows === before.rows, `${before.rows} orders`, `${after.rows}`);
  expect(after.checksum === before.checksum, `checksum ${before.checksum}`, after.checksum);
  step.say(`rows           orders is back: ${after.rows} rows, checksum ${after.checksum}, as noted`);

  const { sidecar, manager } = await startInstanceSidecar(parts, instance, pod);
  const client = await postgres.connect();
  try {
    await insertOrders(client, SOME_ROWS);
    const last = await archiveEverything(
      client,
      LIMIT_MS,
      ({ last }) => step.progress(`last archived: ${last ?? 'none'}`),
      () => lastFailure(manager),
    );
    const timeline = Number.parseInt(last.slice(0, 8), 16);
    expect(timeline === 2, 'timeline 2', `timeline ${timeline}`);
    const stored = await parts.buckets.list(parts.store.bucketBis, `${cluster.metadata.name}/wals/`);
    const names = stored.map(({ key }) => key.slice(key.lastIndexOf('/') + 1));
    for (const wanted of ['00000002.history.gz', `${last}.gz`]) {
      expect(
        names.includes(wanted),
        `${wanted} in ${parts.store.url(parts.store.bucketBis)}`,
        names.join(', ') || 'nothing',
      );
    }
    step.say(
      `archives       timeline ${timeline} to ${parts.store.url(parts.store.bucketBis)}${cluster.metadata.name}/: ${names.length} files, ${names[0]} to ${names.at(-1)}`,
    );
  } finally {
    await client.end();
  }
  const sidecarPeakBytes = sidecar.peakMemoryBytes() ?? 0;
  step.say(`sidecar        peak ${mebibytes(sidecarPeakBytes)}`);
  return { sidecarPeakBytes, instance };
}
