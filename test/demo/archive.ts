// Step 4: the sidecar is started from the container in the patched Pod, and PostgreSQL archives through it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { SIDECAR_CONTAINER } from '../../api/names.ts';
import { hashDirectory, parseWalName } from '../../api/wal-name.ts';
import type { LocalPod } from '../kubelet.ts';
import { fixedSettings, writeConfiguration } from '../manager/configuration.ts';
import type { InstalledManager } from '../manager/install.ts';
import type { Timing } from '../manager/settings.ts';
import type { LocalProcess } from '../process.ts';
import type { StoredObject } from './bucket.ts';
import { clusterOf, type Instance, manage, type Parts, SEGMENT_BYTES } from './parts.ts';
import { expect, mebibytes, median, type Step, seconds } from './report.ts';
import { archiveEverything, createOrders, writeSegments } from './workload.ts';

export type Archiving = { sidecar: LocalProcess; manager: InstalledManager; segments: number };

const SEGMENTS = 8;
const LIMIT_MS = 120_000;

/** Starts the Pod's sidecar and makes the instance its primary, as operator and manager would. */
export async function startInstanceSidecar(
  parts: Parts,
  instance: Instance,
  pod: LocalPod,
): Promise<Omit<Archiving, 'segments'>> {
  const clusterName = pod.spec.containers[0]?.env?.find(({ name }) => name === 'CLUSTER_NAME')?.value ?? '';
  const sidecar = await parts.kubelet.startSidecar(pod, SIDECAR_CONTAINER);
  parts.cleanup.add(() => sidecar.stop());
  const [{ timeline } = { timeline: 1 }] = await instance.postgres.query<{ timeline: number }>(
    'select timeline_id as timeline from pg_control_checkpoint()',
  );
  const status = {
    currentPrimary: pod.name,
    targetPrimary: pod.name,
    timelineID: timeline,
    phase: 'Cluster in healthy state',
  };
  parts.kubeApi.setStatus('Cluster', clusterName, status);
  const manager = await manage(parts, pod, clusterOf(parts, clusterName));
  await writeConfiguration(instance.pgdata, parts.account, fixedSettings(manager.archiveCommand));
  await instance.postgres.query('select pg_reload_conf()');
  return { sidecar, manager };
}

/** Writes rows until some segments are full and checks what arrived in the bucket. */
export async function archiveWorkload(step: Step, parts: Parts, instance: Instance, pod: LocalPod): Promise<Archiving> {
  const started = performance.now();
  const { sidecar, manager } = await startInstanceSidecar(parts, instance, pod);
  step.say(`sidecar        process ${sidecar.pid}, startup probe passed after ${seconds(performance.now() - started)}`);

  const client = await instance.postgres.connect();
  try {
    await createOrders(client);
    const writing = performance.now();
    await writeSegments(client, SEGMENTS, (filled) => step.progress(`${filled} of ${SEGMENTS} segments written`));
    const wroteMs = performance.now() - writing;
    const last = await archiveEverything(
      client,
      LIMIT_MS,
      ({ count }) => step.progress(`${count} of ${SEGMENTS + 1} segments archived`),
      () => lastFailure(manager),
    );
    const tookMs = performance.now() - writing;
    const stored = await checkLayout(parts, last);
    await checkContent(parts, instance, stored);
    const timings = (await readTimings(manager)).filter(({ ok }) => ok);
    const bytes = stored.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const raw = stored.length * SEGMENT_BYTES;
    step.say(`workload       orders written for ${seconds(wroteMs)}, everything archived after ${seconds(tookMs)}`);
    step.say(
      `bucket         ${stored.length} segments below ${parts.store.url(parts.store.bucket)}cluster-example/wals/, ${mebibytes(raw)} in ${mebibytes(bytes)} (ratio ${(raw / bytes).toFixed(1)})`,
    );
    step.say(
      `a segment      ${Math.round(median(timings.map(({ callMs }) => callMs)))} ms in the Archive call, ${Math.round(median(timings.map(({ handshakeMs }) => handshakeMs)))} ms for the handshake before it (medians)`,
    );
    return { sidecar, manager, segments: stored.length };
  } finally {
    await client.end();
  }
}

export async function readTimings(manager: InstalledManager): Promise<Timing[]> {
  const text = await readFile(manager.settings.timingsFile, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** What the last failing command was told. */
export async function lastFailure(manager: InstalledManager): Promise<string> {
  const failed = (await readTimings(manager)).findLast(({ ok }) => !ok);
  return failed?.error ?? 'the command ended before it reached the sidecar';
}

/** Every object below wals/ stands where barman looks for it. */
async function checkLayout(parts: Parts, last: string): Promise<StoredObject[]> {
  const prefix = 'cluster-example/wals/';
  const stored = await parts.buckets.list(parts.store.bucket, prefix);
  for (const { key } of stored) {
    const name = parseWalName(key.slice(key.lastIndexOf('/') + 1).replace(/\.gz$/, ''));
    const folder = name === undefined ? undefined : hashDirectory(name);
    const right = name !== undefined && key === `${prefix}${folder}/${name.name}.gz`;
    expect(right, 'keys <server>/wals/<16 hex>/<24 hex>.gz', key);
  }
  expect(
    stored.some(({ key }) => key.endsWith(`/${last}.gz`)),
    `${last}.gz in the bucket`,
    `${stored.length} other keys`,
  );
  return stored;
}

/** The newest stored segment is, unpacked, the file that PostgreSQL has. */
async function checkContent(parts: Parts, instance: Instance, stored: readonly StoredObject[]): Promise<void> {
  const key = stored.at(-1)?.key ?? '';
  const name = key.slice(key.lastIndexOf('/') + 1, -'.gz'.length);
  const archived = gunzipSync(await parts.buckets.read(parts.store.bucket, key));
  const original = await readFile(join(instance.pgdata, 'pg_wal', name));
  const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(hash(archived) === hash(original), `${key} unpacks to pg_wal/${name}`, `${archived.length} other bytes`);
}
