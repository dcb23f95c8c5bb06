// What a whole backup found of damage: a bounded list, the true number, and a log that does not run over.
import type { Log } from '../../../api/wire/log.ts';
import type { Fork } from './relation-file.ts';

/** A page that does not verify and that WAL replay will not repair. */
export type DamagedBlock = {
  /** Path without fork and segment, as pg_relation_filepath() tells it. */
  relation: string;
  fork: Fork;
  /** The file. */
  path: string;
  /** Number in the fork, across segments: what PostgreSQL's own messages count. */
  block: number;
  /** The checksum that the page should have, and the one that it has. */
  expected: number;
  found: number;
};

export type DamageReport = {
  /** The first ones, in the order of the copy. */
  blocks: DamagedBlock[];
  /** Of all. */
  total: number;
};

export type DamageLedger = {
  add(block: DamagedBlock): void;
  /** No further block is listed, only counted. */
  isFull(): boolean;
  /** Logs the number of all, if there are any. */
  close(): DamageReport;
};

/** Largest number of blocks that are listed for one backup. */
export const LISTED_BLOCKS = 100;
/** Largest number of blocks that get a line of their own in the log. */
const LOGGED_BLOCKS = 10;

/** Opens the ledger of one backup. */
export function openDamageLedger(log: Log): DamageLedger {
  const blocks: DamagedBlock[] = [];
  let total = 0;
  return {
    add(block) {
      total++;
      if (blocks.length < LISTED_BLOCKS) blocks.push(block);
      if (total <= LOGGED_BLOCKS) log.warn(block, 'page checksum does not match; the page is stored as it is');
    },
    isFull: () => blocks.length >= LISTED_BLOCKS,
    close() {
      if (total > 0) {
        const files = [...new Set(blocks.map(({ path }) => path))].slice(0, LOGGED_BLOCKS);
        log.error(
          { damagedBlocks: total, files },
          'the backup holds damaged pages; keep older backups until it is known why',
        );
      }
      return { blocks: [...blocks], total };
    },
  };
}
