// What `bench -- wal` can be asked for on its command line, and the readers that every story shares.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DEFAULT_SEGMENT_SIZE_BYTES } from '../../api/wal-name.ts';
import { BENCH_MAJOR } from './postgres-major.ts';

export const PARTS = ['one', 'backlog', 'effort', 'memory', 'cache', 'adapter'] as const;
export type Part = (typeof PARTS)[number];
/** Of another provider's store, beside S3 in the same run; the other parts are measured with S3. */
const PARTS_BESIDE_S3 = ['one', 'memory', 'adapter'] as const satisfies readonly Part[];
export const STORE_NAMES = ['s3', 'azure', 'gcs'] as const;
export type StoreName = (typeof STORE_NAMES)[number];
export const CODEC_NAMES = ['gzip', 'lz4', 'zstd', 'none', 'bzip2'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

export type GivenS3 = { endpoint: string; accessKeyId: string; secretAccessKey: string };

/** Of every story. */
export type SharedOptions = {
  s3: GivenS3 | undefined;
  /** Folder for CPU profiles of the sidecar. */
  profileFolder: string | undefined;
  smoke: boolean;
};

export type WalOptions = SharedOptions & {
  store: StoreName;
  /** Segments of a long run. */
  count: number;
  /** Repeats of a single call. */
  repeats: number;
  segmentSizeBytes: number;
  /** Different segments; longer runs use them again under further names. */
  poolSize: number;
  /** Where segments are kept from run to run. */
  segmentsFolder: string;
  parts: ReadonlySet<Part>;
  codecs: readonly CodecName[];
};

/** Flags that every story has. */
export const SHARED_FLAGS = {
  s3: { type: 'string' },
  'access-key': { type: 'string' },
  'secret-key': { type: 'string' },
  'cpu-prof': { type: 'string' },
  smoke: { type: 'boolean', default: false },
} as const;

export const SHARED_USAGE = `  --s3 URL         this S3 server, with --access-key K --secret-key S; without it the MinIO that CELLAR_MINIO names or
                   that is on the PATH, else s3rver; a bucket named cellar-bench-… is made there, and removed
  --cpu-prof DIR   CPU profiles of the sidecar
  --smoke          little and small: shows that everything still runs; its figures mean nothing
`;

export const WAL_USAGE = `npm run bench -- wal [FLAGS]

  --count N        segments of a long run (200)
  --only LIST      parts, of ${PARTS.join(',')} (all)
  --codecs LIST    of ${CODEC_NAMES.join(',')} (all)
  --store NAME     ${STORE_NAMES.join(', ')} (s3): Azurite (npm) or fake-gcs-server (CELLAR_FAKE_GCS or the PATH) beside the S3 server,
                   with the parts ${PARTS_BESIDE_S3.join(',')}
  --segments DIR   where segments are kept from run to run (below the folder for temporary files)
${SHARED_USAGE}`;

/** Reads the arguments behind `wal`; throws an Error with a sentence for the user. */
export function readWalOptions(args: readonly string[]): WalOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string' },
      only: { type: 'string' },
      codecs: { type: 'string' },
      segments: { type: 'string' },
      store: { type: 'string', default: 's3' },
      ...SHARED_FLAGS,
    },
  });
  const { smoke } = values;
  const [store = 's3', ...more] = readList('--store', values.store, STORE_NAMES);
  if (more.length > 0) throw new Error(`--store: found ${values.store}: use one of ${STORE_NAMES.join(',')}`);
  const segmentSizeBytes = smoke ? 1024 * 1024 : DEFAULT_SEGMENT_SIZE_BYTES;
  return {
    ...readShared(values),
    store,
    count: readCount('--count', values.count, smoke ? 3 : 200),
    repeats: smoke ? 1 : 15,
    segmentSizeBytes,
    poolSize: smoke ? 4 : 48,
    segmentsFolder: resolve(values.segments ?? defaultSegmentsFolder(segmentSizeBytes)),
    parts: new Set(readList('--only', values.only, store === 's3' ? PARTS : PARTS_BESIDE_S3)),
    codecs: readList('--codecs', values.codecs, CODEC_NAMES),
  };
}

export function defaultSegmentsFolder(segmentSizeBytes: number): string {
  return join(tmpdir(), `cellar-bench-segments-${BENCH_MAJOR}-${segmentSizeBytes / 1024 / 1024}m`);
}

/** Throws unless the text, if there is one, is a whole number above 0. */
export function readCount(flag: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`${flag}: found ${text}: use a whole number, for example 200`);
  return Number(text);
}

/** Comma-separated names; all known ones without a text. Throws, naming what is known. */
export function readList<T extends string>(flag: string, text: string | undefined, known: readonly T[]): T[] {
  if (text === undefined) return [...known];
  return text.split(',').map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found === undefined) throw new Error(`${flag}: found ${name}: use some of ${known.join(',')}`);
    return found;
  });
}

/** Reads `SHARED_FLAGS`. Throws as `readWalOptions` does. */
export function readShared(values: {
  s3?: string;
  'access-key'?: string;
  'secret-key'?: string;
  'cpu-prof'?: string;
  smoke: boolean;
}): SharedOptions {
  const { s3: url, 'access-key': accessKeyId, 'secret-key': secretAccessKey, 'cpu-prof': profile, smoke } = values;
  const profileFolder = profile === undefined ? undefined : resolve(profile);
  if (url === undefined) return { s3: undefined, profileFolder, smoke };
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new Error(`--s3: found ${url}: use the endpoint's address, for example http://127.0.0.1:9000`);
  }
  if (!accessKeyId || !secretAccessKey) throw new Error('--s3 needs --access-key and --secret-key');
  return { s3: { endpoint: url, accessKeyId, secretAccessKey }, profileFolder, smoke };
}
