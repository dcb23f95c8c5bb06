// Step 5: a base backup through the Backup call, with the documents that the operator sends.
import type { Backup } from '../../api/kube.ts';
import { PLUGINS_MOUNT } from '../../api/names.ts';
import type { LocalPod } from '../kubelet.ts';
import { takeBackup } from '../manager/backup.ts';
import { asObject } from './documents.ts';
import { clusterOf, type Parts, pathIn } from './parts.ts';
import { expect, mebibytes, type Step, seconds } from './report.ts';

export type BackupTaken = { id: string; sizeBytes: number; milliseconds: number };

const TICK_MS = 500;

/** Takes the backup of the usage page and checks what it left in the bucket. */
export async function takeBaseBackup(step: Step, parts: Parts, pod: LocalPod, document: Backup): Promise<BackupTaken> {
  const { object } = await parts.kubeApi.apply(asObject(document));
  const cluster = clusterOf(parts, document.spec.cluster.name);
  // The operator has given the stored document its phase when the manager reads it.
  const backup: Backup = { ...document, metadata: object.metadata, status: { phase: 'started', method: 'plugin' } };

  const started = performance.now();
  const ticker = setInterval(() => step.progress(`${seconds(performance.now() - started)}: copying`), TICK_MS);
  const result = await takeBackup(pathIn(parts, pod, PLUGINS_MOUNT), cluster, backup).finally(() =>
    clearInterval(ticker),
  );
  const milliseconds = performance.now() - started;
  parts.kubeApi.setStatus('Backup', backup.metadata.name, {
    phase: 'completed',
    method: 'plugin',
    backupId: result.backupId,
    backupName: result.backupName,
    pluginMetadata: result.metadata,
  });

  const folder = `${cluster.metadata.name}/base/${result.backupId}/`;
  const stored = await parts.buckets.list(parts.store.bucket, folder);
  const info = stored.find(({ key }) => key === `${folder}backup.info`);
  expect(info !== undefined, `${folder}backup.info`, () => stored.map(({ key }) => key).join(', ') || 'nothing stored');
  const text = (await parts.buckets.read(parts.store.bucket, info.key)).toString('utf8');
  expect(/^status=DONE$/m.test(text), 'backup.info with status=DONE', () => /^status=.*$/m.exec(text)?.[0] ?? text);
  const newest = Math.max(...stored.map(({ lastModified }) => lastModified.getTime()));
  expect(info.lastModified.getTime() === newest, 'backup.info stored last', 'another object is newer');

  const data = stored.filter(({ key }) => key !== info.key);
  const sizeBytes = data.reduce((sum, object) => sum + object.sizeBytes, 0);
  const files = data.map(({ key, sizeBytes }) => `${key.slice(folder.length)} ${mebibytes(sizeBytes)}`);
  step.say(`backup         ${result.backupName} (${result.backupId}), ${result.beginWal} to ${result.endWal}`);
  step.say(`bucket         ${folder}: ${files.join(', ')}; then backup.info, status=DONE`);
  step.say(`speed          ${mebibytes(sizeBytes)} in ${seconds(milliseconds)}, ${rate(sizeBytes, milliseconds)}`);
  return { id: result.backupId, sizeBytes, milliseconds };
}

/** MB/s, decimal, as disks and networks are sold. */
export function rate(bytes: number, milliseconds: number): string {
  return `${(bytes / 1e6 / (milliseconds / 1000)).toFixed(0)} MB/s`;
}
