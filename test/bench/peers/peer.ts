// What a benchmark asks of another archiving program. One file beside this one drives each.
import type { DataCodecName } from '../base-options.ts';
import type { CodecName } from '../options.ts';
import type { WalQueue } from '../wal-queue.ts';

export type PeerName = 'barman' | 'pgBackRest' | 'WAL-G';

/** WAL, started anew for each file as `archive_command` and `restore_command` do. */
export type WalPeer = {
  name: PeerName;
  /** Whether it can write this way. */
  packs(codec: CodecName): boolean;
  /** One file after the other, nothing ahead; the milliseconds of each start of the program. */
  archiveEach(codec: CodecName, paths: readonly string[]): Promise<number[]>;
  /** As fast as it can, of a queue laid out for it; milliseconds for each segment. */
  archiveBacklog(codec: CodecName, queue: WalQueue): Promise<number>;
  /** In order, what `archiveBacklog` has stored; milliseconds for each segment, and of how many. */
  restore(codec: CodecName, names: readonly string[], destination: string): Promise<{ eachMs: number; count: number }>;
};

/** Base backups of the data folder of the run. */
export type BasePeer = {
  name: PeerName;
  packs(codec: DataCodecName): boolean;
  /** A full backup, milliseconds. */
  backup(codec: DataCodecName): Promise<number>;
  /** The last backup of that codec into a folder that does not exist; milliseconds. */
  restore(codec: DataCodecName, folder: string): Promise<number>;
};
