// What `bench -- backup` and `bench -- restore` can be asked for on their command line.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readCount, readList, readShared, SHARED_FLAGS, SHARED_USAGE, type SharedOptions } from './options.ts';
import { BENCH_MAJOR } from './postgres-major.ts';

/** The one that starts a fresh compile cache and a cold disk comes first: its figures mean least. */
export const DATA_CODEC_NAMES = ['none', 'lz4', 'gzip', 'bzip2'] as const;
export type DataCodecName = (typeof DATA_CODEC_NAMES)[number];
export const BASE_PARTS = ['codecs', 'memory'] as const;
export type BasePart = (typeof BASE_PARTS)[number];

export type BaseOptions = SharedOptions & {
  /** Of the data folder. */
  sizeMiB: number;
  /** Where the database is kept from run to run. */
  databaseFolder: string;
  codecs: readonly DataCodecName[];
  /** Undefined: what the product does when nothing is set. */
  gzipLevel: number | undefined;
  parts: ReadonlySet<BasePart>;
  /** Zeros that are added to the folder for the second look at the memory. */
  sparseMiB: number;
};

const SIZE_MIB = 2048;
const SMOKE_SIZE_MIB = 40;
const SMOKE_CODECS = 'none,gzip';
/** Sparse data, as many times the size of the database. */
const SPARSE_TIMES = 4;
const LONG_SPARSE_MIB = 20 * 1024;

export const BASE_USAGE = `npm run bench -- backup|restore [FLAGS]

  --size MIB       of the database (${SIZE_MIB})
  --codecs LIST    of ${DATA_CODEC_NAMES.join(',')} (all)
  --gzip-level N   1 to 9, to find a default (the product's)
  --only LIST      of ${BASE_PARTS.join(',')} (all; restore has codecs only)
  --long           memory of a backup with ${LONG_SPARSE_MIB / 1024} GiB of sparse data, not ${SPARSE_TIMES} times the size
  --database DIR   where the database is kept from run to run (below the folder for temporary files)
${SHARED_USAGE}`;

/** Reads the arguments behind the story's name; throws an Error with a sentence for the user. */
export function readBaseOptions(args: readonly string[]): BaseOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      size: { type: 'string' },
      codecs: { type: 'string' },
      'gzip-level': { type: 'string' },
      only: { type: 'string' },
      long: { type: 'boolean', default: false },
      database: { type: 'string' },
      ...SHARED_FLAGS,
    },
  });
  const sizeMiB = readCount('--size', values.size, values.smoke ? SMOKE_SIZE_MIB : SIZE_MIB);
  const kept = join(tmpdir(), `cellar-bench-database-${BENCH_MAJOR}-${sizeMiB}m`);
  return {
    ...readShared(values),
    sizeMiB,
    databaseFolder: resolve(values.database ?? kept),
    codecs: readList('--codecs', values.codecs ?? (values.smoke ? SMOKE_CODECS : undefined), DATA_CODEC_NAMES),
    gzipLevel: readLevel(values['gzip-level']),
    parts: new Set(readList('--only', values.only, BASE_PARTS)),
    sparseMiB: values.long ? LONG_SPARSE_MIB : SPARSE_TIMES * sizeMiB,
  };
}

function readLevel(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]$/.test(text)) throw new Error(`--gzip-level: found ${text}: use 1 to 9`);
  return Number(text);
}
