// Whether the sidecar's memory limit is enough for what it may do at once (rule C12). The formulas are those of
// docs/performance.md and docs/backup.md.
import type { Draft, DraftConfiguration } from './draft.ts';
import { parseQuantity } from './quantity.ts';
import type { Finding } from './rule.ts';
import { show } from './show.ts';

const MIB = 1024 * 1024;
/** The process, its libraries, streams and sockets, and what V8 lets stand of buffers. */
const BASE_MIB = 180;
/** Of a cluster that was made without --wal-segsize. */
const SEGMENT_MIB = 16;
/** Of a tar of 100 GB in 10,000 parts, on S3. */
const PART_MIB = 10.3;
const DEFAULT_JOBS = 2;

/** Base, packed segments in flight and parts of a base backup, MiB; all at once, because a backup does not stop WAL. */
export function neededMemoryMiB({ wal, data }: DraftConfiguration): number {
  const packed = wal?.compression === undefined ? 0 : Math.max(1, wal.maxParallel ?? 1) * SEGMENT_MIB;
  return Math.ceil(BASE_MIB + packed + (Math.max(1, data?.jobs ?? DEFAULT_JOBS) + 1) * PART_MIB);
}

export function tightMemory({ configuration, spec }: Draft): Finding[] {
  const limit = spec.instanceSidecarConfiguration?.resources?.limits?.memory;
  if (limit === undefined) return [];
  const [limited, unit] = [parseQuantity(limit), parseQuantity(MIB)];
  if (limited === undefined || limited <= 0n || unit === undefined) return [];
  const neededMiB = neededMemoryMiB(configuration);
  if (limited >= BigInt(neededMiB) * unit) return [];
  const { wal, data } = configuration;
  const why = `maxParallel ${wal?.maxParallel ?? 1}, jobs ${data?.jobs ?? DEFAULT_JOBS}`;
  return [
    {
      path: 'spec.instanceSidecarConfiguration.resources.limits[memory]',
      found: show(limit),
      advice: `${neededMiB}Mi may be needed (${why}); raise it`,
    },
  ];
}
