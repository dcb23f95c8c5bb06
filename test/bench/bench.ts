// What every measure works with.
import type { Floor } from './floor.ts';
import type { CodecName, WalOptions } from './options.ts';
import type { PeerName, WalPeer } from './peers/peer.ts';
import type { Report } from './report.ts';
import type { Rig, Sidecar } from './rig.ts';
import type { Segments } from './segments.ts';
import type { BenchStore } from './store.ts';

export type Bench = {
  options: WalOptions;
  report: Report;
  store: BenchStore;
  segments: Segments;
  rig: Rig;
  floor: Floor;
  /** Those that are here. */
  peers: readonly WalPeer[];
  /** What a backlog took them, milliseconds for each segment: more than one measure is compared with it. */
  peerBacklogs: Map<`${PeerName} ${CodecName}`, number>;
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
