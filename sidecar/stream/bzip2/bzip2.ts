// bzip2: the codec that most users have set. One stream per object, written and read by several threads.
import type { Transform } from 'node:stream';
import { Bzip2Decoder } from './decoder.ts';
import { Bzip2Encoder } from './encoder.ts';
import { type BlockWorkers, sharedBlockWorkers } from './workers.ts';

/** Barman's default for WAL. */
const DEFAULT_LEVEL = 5;

/** Writes one stream. Level 1 to 9 (blocks of so many times 100,000 bytes), default 5. */
export function bzip2Encoder(options?: { level?: number }, workers: BlockWorkers = sharedBlockWorkers): Transform {
  const level = Math.min(9, Math.max(1, Math.trunc(options?.level ?? DEFAULT_LEVEL)));
  return new Bzip2Encoder(workers, level);
}

/** Reads one or more streams; CorruptError on damage and truncation; bytes after the last stream are ignored. */
export function bzip2Decoder(workers: BlockWorkers = sharedBlockWorkers): Transform {
  return new Bzip2Decoder(workers);
}
