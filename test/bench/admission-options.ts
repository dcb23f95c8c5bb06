// What `bench -- admission` can be asked for on its command line.
import { type HooksOptions, readLoad } from './hooks-options.ts';

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
  const { smoke, ...load } = readLoad(args);
  return { ...load, reviewsPerSecond: smoke ? 50 : 500, starts: smoke ? 1 : 5 };
}
