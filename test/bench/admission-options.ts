// What `bench -- admission` can be asked for on its command line.
import { parseArgs } from 'node:util';
import type { HooksOptions } from './hooks-options.ts';
import { readCount } from './options.ts';

export type AdmissionOptions = Pick<HooksOptions, 'clusters' | 'stores' | 'namespaces'> & {
  reviewsPerSecond: number;
  seconds: number;
  /** Starts of the process. */
  starts: number;
};

export const ADMISSION_USAGE = `npm run bench -- admission [FLAGS]

  --seconds N      how long reviews are sent at 500 a second (30)
  --clusters N     Clusters that the API server holds (10000), with a tenth as many ObjectStores
  --smoke          little and small: shows that everything still runs; its figures mean nothing
`;

/** Reads the arguments behind `admission`; throws an Error with a sentence for the user. */
export function readAdmissionOptions(args: readonly string[]): AdmissionOptions {
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
    clusters,
    stores: Math.ceil(clusters / 10),
    namespaces: Math.min(100, Math.ceil(clusters / 10)),
    reviewsPerSecond: smoke ? 50 : 500,
    seconds: readCount('--seconds', values.seconds, smoke ? 1 : 30),
    starts: smoke ? 1 : 5,
  };
}
