// Verifies the pages of one relation file while it is copied (the rules of pg_basebackup, basebackup.c).
import { setTimeout as delay } from 'node:timers/promises';
import { type BadPage, PAGE_BYTES, type PageVerifier } from './checksum.ts';
import type { DamagedBlock, DamageLedger } from './damage-ledger.ts';
import { parseRelationFile } from './relation-file.ts';

export type PageChecker = {
  /**
   * Looks at the next bytes of the file, which begin at a multiple of the page's size. A page that was torn by a write
   * at the same time is replaced in `piece` by what a second read brings.
   */
  inspect(piece: Buffer, fileOffset: number): Promise<void>;
};

export type PageCheckerOptions = {
  /** Relative to PGDATA. */
  path: string;
  /** Of the backup. Pages that were changed since are not judged: WAL replay writes them anew. */
  startLsn: bigint;
  /** Reads a block of this file once more; undefined when the file has become shorter or is gone. */
  reread: (blockInFile: number) => Promise<Buffer | undefined>;
  verifier: PageVerifier;
  ledger: DamageLedger;
  signal: AbortSignal;
  /** Blocks in a segment file: `segment_size` of PostgreSQL. */
  segmentBlocks?: number;
};

/** 1 GiB of 8 KiB. */
export const DEFAULT_SEGMENT_BLOCKS = 131_072;
/** A write of one page is over long before. */
const TORN_READ_PAUSE_MS = 100;

/**
 * Makes the checker of one file; undefined when it is no file of a relation. What does not verify twice goes to the
 * ledger. The pause before the second look is made for a whole piece, and no more once the ledger is full: damage
 * everywhere delays a backup by seconds, not hours.
 */
export function createPageChecker(options: PageCheckerOptions): PageChecker | undefined {
  const { path, startLsn, reread, verifier, ledger, signal, segmentBlocks = DEFAULT_SEGMENT_BLOCKS } = options;
  const file = parseRelationFile(path);
  if (file === undefined) return undefined;
  const { relation, fork, segment } = file;
  const firstInRelation = segment * segmentBlocks;

  const lookAgain = async ({ index }: BadPage, piece: Buffer, firstInFile: number): Promise<void> => {
    const page = await reread(firstInFile + index);
    if (page === undefined) return;
    const block = firstInRelation + firstInFile + index;
    const [stillBad] = verifier.findBad(page, block, startLsn);
    if (stillBad === undefined) piece.set(page, index * PAGE_BYTES);
    else ledger.add(damagedBlock(block, stillBad));
  };
  const damagedBlock = (block: number, { expected, found }: BadPage): DamagedBlock => {
    return { relation, fork, path, block, expected, found };
  };
  return {
    async inspect(piece, fileOffset) {
      const firstInFile = fileOffset / PAGE_BYTES;
      const bad = verifier.findBad(piece, firstInRelation + firstInFile, startLsn);
      if (bad.length === 0) return;
      if (!ledger.isFull()) await delay(TORN_READ_PAUSE_MS, undefined, { signal });
      for (const page of bad) {
        signal.throwIfAborted();
        await lookAgain(page, piece, firstInFile);
      }
    },
  };
}
