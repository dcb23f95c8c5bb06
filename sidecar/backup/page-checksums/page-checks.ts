// The page checks of one backup: whether there are any, and for which of its files.
import { type FileHandle, open } from 'node:fs/promises';
import type { Log } from '../../../api/wire/log.ts';
import { orVanished } from '../tree.ts';
import { createPageVerifier, PAGE_BYTES } from './checksum.ts';
import { type DamageReport, openDamageLedger } from './damage-ledger.ts';
import { createPageChecker, type PageChecker } from './page-checker.ts';

/** What PostgreSQL tells of itself. */
export type PageFacts = {
  /** `data_checksums`: `on`, `off`. */
  dataChecksums: string;
  /** `block_size`. */
  blockSizeBytes: number;
  /** `segment_size`, blocks in a segment file. */
  segmentBlocks: number;
};

export type PageChecks = {
  /** `path` is relative to PGDATA, also in a tablespace (`pg_tblspc/<oid>/PG_…`); `source` is where the file is. */
  checkerFor(path: string, source: string): PageChecker | undefined;
  /** What was found; says so in the log. */
  finish(): DamageReport;
};

/** Whether pages have checksums, in the only block size that is checked. */
export function pagesCanBeChecked({ dataChecksums, blockSizeBytes }: PageFacts): boolean {
  return dataChecksums === 'on' && blockSizeBytes === PAGE_BYTES;
}

/** Prepares the checks of one backup; undefined, after a line in the log, when the pages of this cluster cannot be checked. */
export function preparePageChecks(options: {
  facts: PageFacts;
  /** Where the backup starts. */
  startLsn: bigint;
  signal: AbortSignal;
  log: Log;
}): PageChecks | undefined {
  const { facts, startLsn, signal, log } = options;
  if (!pagesCanBeChecked(facts)) {
    const { dataChecksums, blockSizeBytes } = facts;
    log.info({ dataChecksums, blockSizeBytes }, 'pages are not verified: only checksums of pages of 8 KiB are');
    return undefined;
  }
  const verifier = createPageVerifier();
  const ledger = openDamageLedger(log);
  const { segmentBlocks } = facts;
  return {
    checkerFor(path, source) {
      const reread = (blockInFile: number): Promise<Buffer | undefined> => readBlock(source, blockInFile);
      return createPageChecker({ path, startLsn, reread, verifier, ledger, signal, segmentBlocks });
    },
    finish: () => ledger.close(),
  };
}

/** Undefined when the block is not there any more. */
async function readBlock(source: string, blockInFile: number): Promise<Buffer | undefined> {
  const file = await orVanished<FileHandle>(open(source, 'r'));
  if (file === undefined) return undefined;
  try {
    const page = Buffer.allocUnsafe(PAGE_BYTES);
    const { bytesRead } = await file.read(page, 0, PAGE_BYTES, blockInFile * PAGE_BYTES);
    return bytesRead === PAGE_BYTES ? page : undefined;
  } finally {
    await file.close();
  }
}
