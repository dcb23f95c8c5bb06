// What `bench -- hooks` can be asked for on its command line.
import { parseArgs } from 'node:util';
import { readCount } from './options.ts';

export type HooksOptions = {
  clusters: number;
  stores: number;
  /** Each has as many Clusters and ObjectStores as the others. */
  namespaces: number;
  callsPerSecond: number;
  seconds: number;
  /** Starts of an instance process, and handshakes with it. */
  repeats: number;
};

export const HOOKS_USAGE = `npm run bench -- hooks [FLAGS]

  --seconds N      how long calls are made at 200 a second (30)
  --clusters N     Clusters that the API server holds (10000), with a tenth as many ObjectStores
  --smoke          little and small: shows that everything still runs; its figures mean nothing
`;

/** Reads the arguments behind `hooks`; throws an Error with a sentence for the user. */
export function readHooksOptions(args: readonly string[]): HooksOptions {
  const { smoke, ...load } = readLoad(args);
  return { ...load, callsPerSecond: 200, repeats: smoke ? 2 : 15 };
}

/** The flags of both doors of the operator process: how many objects there are, and how long it is asked. */
export function readLoad(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string' },
      clusters: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { smoke } = values;
  const clusters = readCount('--clusters', values.clusters, smoke ? 100 : 10_000);
  return {
    smoke,
    clusters,
    stores: Math.ceil(clusters / 10),
    namespaces: Math.min(100, Math.ceil(clusters / 10)),
    seconds: readCount('--seconds', values.seconds, smoke ? 1 : 30),
  };
}
