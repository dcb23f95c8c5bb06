// What every measure works with.
import type { Barman } from './barman.ts';
import type { Floor } from './floor.ts';
import type { BenchOptions } from './options.ts';
import type { Report } from './report.ts';
import type { Rig, Sidecar } from './rig.ts';
import type { Segments } from './segments.ts';
import type { BenchStore } from './store.ts';

export type Bench = {
  options: BenchOptions;
  report: Report;
  store: BenchStore;
  segments: Segments;
  rig: Rig;
  floor: Floor;
  /** Undefined when the tools are not here. */
  barman: Barman | undefined;
  /** For all measures of a run whose figures mean nothing. */
  sharedSidecar: Sidecar | undefined;
};

/** Measures with a sidecar of its own: what one measure leaves behind changes no other. */
export async function withSidecar<T>(bench: Bench, work: (sidecar: Sidecar) => Promise<T>): Promise<T> {
  if (bench.sharedSidecar !== undefined) return work(bench.sharedSidecar);
  const sidecar = await bench.rig.start();
  try {
    return await work(sidecar);
  } finally {
    await sidecar.stop();
  }
}
