// Step 8: the figures, and how to reach the parts that are kept.
import { PLUGIN_NAME, PLUGINS_MOUNT } from '../../api/names.ts';
import { type BackupTaken, rate } from './backup.ts';
import { type Instance, type Parts, pathIn } from './parts.ts';
import { mebibytes } from './report.ts';

export type Figures = {
  segments: number;
  backup: BackupTaken;
  restoreMs: number;
  /** Peak memory by sidecar, bytes. */
  peaks: { instance: number; restore: number; recovered: number };
  totalSeconds: number;
};

/** A small table. */
export function renderSummary(figures: Figures): string {
  const { backup, peaks } = figures;
  const highest = Math.max(...Object.values(peaks));
  const rows: [string, string][] = [
    ['WAL segments of the workload', String(figures.segments)],
    ['base backup', `${mebibytes(backup.sizeBytes)}, ${rate(backup.sizeBytes, backup.milliseconds)}`],
    ['restore', `${mebibytes(backup.sizeBytes)}, ${rate(backup.sizeBytes, figures.restoreMs)}`],
    [
      'sidecar peak memory (VmHWM)',
      `${mebibytes(highest)} (instance ${mebibytes(peaks.instance)}, recovery ${mebibytes(peaks.restore)}, recovered ${mebibytes(peaks.recovered)})`,
    ],
    ['total time', `${figures.totalSeconds.toFixed(0)} s`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

/** Commands and addresses for somebody who wants to look around. */
export function renderAccess(parts: Parts, instance: Instance, certificatesFolder: string, tokenFile: string): string {
  const { store, kubeApi, operatorAddress, webhookUrl } = parts;
  const { postgres, pod } = instance;
  const rows: [string, string][] = [
    ['PostgreSQL', `psql -h ${postgres.socketFolder} -p ${postgres.port} -U postgres postgres`],
    ['object store', store.access],
    ['sidecar', `gRPC on unix:${pathIn(parts, pod, PLUGINS_MOUNT)}/${PLUGIN_NAME}`],
    ['operator', `gRPC on ${operatorAddress}, certificates in ${certificatesFolder}`],
    [
      'webhook',
      `${webhookUrl}/validate/objectstores, AdmissionReview v1, certificate ${certificatesFolder}/webhook.crt`,
    ],
    ['Kubernetes API', `https://${kubeApi.host}:${kubeApi.port}, Bearer token in ${tokenFile}`],
    ['logs', parts.logFolder],
  ];
  return rows.map(([name, value]) => `${name.padEnd(14)} ${value}`).join('\n');
}
