// How base backups are packed in the measures: at the product's own default levels, unless another one is asked for.
import type { DataCodecName } from './base-options.ts';

export type DataPacking = {
  label: string;
  /** For the floor; undefined when the codec has none, or one only. */
  level: number | undefined;
  /** `data.additionalCommandArgs` of the ObjectStore. */
  args: string[];
};

/** The product's; the floor is told. */
const DEFAULT_GZIP_LEVEL = 1;

/** Only gzip's level can be chosen: it is the one whose default is a measured choice. */
export function dataPacking(codec: DataCodecName, gzipLevel: number | undefined): DataPacking {
  if (codec !== 'gzip') return { label: codec, level: undefined, args: [] };
  const level = gzipLevel ?? DEFAULT_GZIP_LEVEL;
  const args = gzipLevel === undefined ? [] : [`--compression-level=${gzipLevel}`];
  return { label: `gzip ${level}`, level, args };
}
