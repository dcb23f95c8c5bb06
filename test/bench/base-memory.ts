// Whether the size of a database shows in the memory of its backup: the same folder without and with sparse files in it.
import type { Cleanup } from '../demo/cleanup.ts';
import { type BaseBench, placeOf } from './base-bench.ts';
import { forgetPeak, peakMiB } from './process-figures.ts';
import { addSparse, removeSparse } from './sparse.ts';

export const PEAK_LIMIT_MIB = 160;
/** More is growth, less is how a heap breathes. */
const MOST_GROWTH = 1.1;

/** Measures gzip with two jobs, each time in a fresh process. */
export async function measureBaseMemory(bench: BaseBench, cleanup: Cleanup): Promise<void> {
  const { report, rig, options, sizeGiB } = bench;
  const goal = { value: { atMost: PEAK_LIMIT_MIB } };
  const small = await peakOfBackup(bench);
  report.add({ name: `memory, gzip, ${sizeGiB.toFixed(1)} GiB, peak`, value: small, unit: 'MiB', goal });

  cleanup.add(() => removeSparse(rig.pgdata));
  await addSparse(rig.pgdata, options.sparseMiB);
  const large = await peakOfBackup(bench);
  await removeSparse(rig.pgdata);
  const name = `memory, gzip, with ${(options.sparseMiB / 1024).toFixed(1)} GiB of sparse files`;
  report.add({ name: `${name}, peak`, value: large, unit: 'MiB', goal });
  const note = 'floor: without them';
  const growth = { times: { atMost: MOST_GROWTH } };
  report.add({ name: `${name}, growth`, value: large, unit: 'MiB', floor: small, goal: growth, note });
}

async function peakOfBackup({ rig, store }: BaseBench): Promise<number> {
  const sidecar = await rig.startInstance();
  forgetPeak(sidecar.pid);
  await sidecar.backup(placeOf('gzip'));
  const peak = peakMiB(sidecar.pid);
  await sidecar.stop();
  await store.empty();
  return peak;
}
