// The demo's story: eight steps, each the code that the product ships, on real parts.
import { join } from 'node:path';
import { applyDocuments } from './apply.ts';
import { archiveWorkload } from './archive.ts';
import { takeBaseBackup } from './backup.ts';
import type { Cleanup } from './cleanup.ts';
import { haveDisaster } from './disaster.ts';
import { readDocuments } from './documents.ts';
import { injectPod } from './inject.ts';
import type { DemoOptions } from './options.ts';
import { clusterOf, type Instance, type Parts } from './parts.ts';
import { recover } from './recover.ts';
import { checkRecovered } from './recovered.ts';
import type { Report } from './report.ts';
import { startDatabase, startParts } from './start.ts';
import { renderAccess, renderSummary } from './summary.ts';

export const STEPS = 8;

/** Runs all steps; returns how to reach what is left running. What was started is in `cleanup`. */
export async function runDemo(
  report: Report,
  options: DemoOptions,
  place: { folder: string; logFolder: string; cleanup: Cleanup },
): Promise<string> {
  const { parts, documents, instance } = await report.step('Start PostgreSQL, S3 and our operator', async (step) => {
    const parts = await startParts(step, options, place);
    const documents = readDocuments(parts.store);
    return { parts, documents, instance: await startDatabase(step, parts, documents.cluster) };
  });
  await report.step('Apply ObjectStores through the webhook', (step) => applyDocuments(step, parts, documents));
  const cluster = clusterOf(parts, documents.cluster.metadata.name);
  const pod = await report.step('Inject the sidecar into the instance Pod', (step) => injectPod(step, parts, cluster));
  const archiving = await report.step('Archive the WAL of a workload', (step) =>
    archiveWorkload(step, parts, instance, pod),
  );
  const backup = await report.step('Back up the data folder', (step) =>
    takeBaseBackup(step, parts, pod, documents.backup),
  );
  const disaster = await report.step('Disaster: a dropped table, then the data folder is gone', (step) =>
    haveDisaster(step, instance, archiving.sidecar),
  );
  const recovered = await report.step(`Recover to ${disaster.targetTime}`, async (step) => {
    const job = await recover(step, parts, documents.restore, backup, disaster.targetTime);
    return { job, ...(await checkRecovered(step, parts, job.cluster, disaster.before)) };
  });
  await report.step('Summary', async (step) => {
    step.say(
      renderSummary({
        segments: archiving.segments,
        backup,
        restoreMs: recovered.job.restoreMs,
        peaks: {
          instance: disaster.sidecarPeakBytes,
          restore: recovered.job.sidecarPeakBytes,
          recovered: recovered.sidecarPeakBytes,
        },
        totalSeconds: report.totalSeconds(),
      }),
    );
  });
  return access(parts, recovered.instance);
}

function access(parts: Parts, instance: Instance): string {
  const operatorFolder = join(parts.folder, 'operator');
  return renderAccess(
    parts,
    instance,
    join(operatorFolder, 'certificates'),
    join(operatorFolder, 'service-account', 'token'),
  );
}
