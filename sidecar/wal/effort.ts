// How hard gzip and zstd pack when no option says so: well while archiving keeps up, fast while files pile up. A segment
// that waits on the disk of the database is worth more than the tenth of its size that the better level saves.
import type { Codec } from '../stream/codec.ts';

export type Effort = 'good' | 'fast';

/** 16 segments are 256 MiB of WAL that only this disk holds. */
const FAST_FROM_FILES = 16;
/** Well below, so that one burst does not make the level flap. */
const GOOD_FROM_FILES = 4;

/** Level 1 packs two and a half times as fast as the default of either codec (docs/performance.md). */
const FAST_LEVELS: { [name in Codec['name']]?: number } = { gzip: 1, zstd: 1 };

/**
 * The next effort. Pure.
 *
 * | now  | files waiting | next |
 * |------|---------------|------|
 * | good | below 16      | good |
 * | good | 16 and more   | fast |
 * | fast | above 4       | fast |
 * | fast | 4 and fewer   | good |
 */
export function nextEffort(now: Effort, waitingFiles: number): Effort {
  if (now === 'good') return waitingFiles >= FAST_FROM_FILES ? 'fast' : 'good';
  return waitingFiles <= GOOD_FROM_FILES ? 'good' : 'fast';
}

/** The level of a codec at an effort; undefined: the codec's own default, which is the good one. */
export function levelAt(effort: Effort, codec: Codec['name']): number | undefined {
  return effort === 'fast' ? FAST_LEVELS[codec] : undefined;
}
