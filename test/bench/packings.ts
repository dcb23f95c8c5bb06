// How segments are packed in the measures: by the product, by the floor, and by the barman tools, at the same level.
import type { ObjectStoreConfiguration } from '../../api/objectstore.ts';

import type { CodecName } from './options.ts';

export type Packing = {
  codec: CodecName;
  label: string;
  /** For the floor; undefined when the codec has none, or one only. */
  level: number | undefined;
  /** Of the product, `maxParallel` apart. */
  wal: NonNullable<ObjectStoreConfiguration['wal']>;
  /** Flags of barman-cloud-wal-archive. */
  barman: readonly string[];
};

const level = (value: number) => ({ archiveAdditionalCommandArgs: [`--compression-level=${value}`] });
const barmanLevel = (value: number): string[] => ['--compression-level', String(value)];

export const PACKINGS: Record<CodecName, Packing> = {
  gzip: {
    ...{ codec: 'gzip', label: 'gzip 6', level: 6, wal: { compression: 'gzip', ...level(6) } },
    barman: ['--gzip', ...barmanLevel(6)],
  },
  lz4: { codec: 'lz4', label: 'lz4', level: undefined, wal: { compression: 'lz4' }, barman: ['--lz4'] },
  zstd: {
    ...{ codec: 'zstd', label: 'zstd 3', level: 3, wal: { compression: 'zstd', ...level(3) } },
    barman: ['--zstd', ...barmanLevel(3)],
  },
  none: { codec: 'none', label: 'none', level: undefined, wal: {}, barman: [] },
  bzip2: {
    ...{ codec: 'bzip2', label: 'bzip2 5', level: 5, wal: { compression: 'bzip2', ...level(5) } },
    barman: ['--bzip2', ...barmanLevel(5)],
  },
};
