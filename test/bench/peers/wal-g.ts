// WAL-G, set up through its environment, with a prefix of its own for each way of packing. It has no gzip and no bzip2.
import { mkdir, rm } from 'node:fs/promises';
import type { Account } from '../../unprivileged.ts';
import type { DataCodecName } from '../base-options.ts';
import type { CodecName } from '../options.ts';
import { MAX_PARALLEL } from '../rig.ts';
import type { BenchStore } from '../store.ts';
import type { BasePeer, WalPeer } from './peer.ts';
import { runPeer } from './run.ts';

export type WalGPlace = {
  store: Pick<BenchStore, 'endpoint' | 'bucket' | 'accessKeyId' | 'secretAccessKey'>;
  program: string;
  account: Account;
  pgdata: string;
  /** Undefined where no server runs. */
  postgres?: { socketFolder: string; port: number };
};

export const WAL_G = 'wal-g';
const METHODS: Partial<Record<CodecName, string>> = { lz4: 'lz4', zstd: 'zstd', none: 'none' };

/** Drives it for WAL. */
export function walGWal(place: WalGPlace): WalPeer {
  return {
    name: 'WAL-G',
    packs: (codec) => METHODS[codec] !== undefined,
    async archiveEach(codec, paths) {
      const run = runner(place, `one-${codec}`, codec, 1);
      const calls: number[] = [];
      for (const path of paths) calls.push(await run(['wal-push', path]));
      return calls;
    },
    async archiveBacklog(codec, queue) {
      const run = runner(place, `backlog-${codec}`, codec, MAX_PARALLEL);
      const startedAt = performance.now();
      await queue.archiveWith((path) => run(['wal-push', path]));
      return (performance.now() - startedAt) / queue.paths.length;
    },
    async restore(codec, names, destination) {
      const run = runner(place, `backlog-${codec}`, codec, MAX_PARALLEL);
      const startedAt = performance.now();
      for (const name of names) {
        await rm(destination, { force: true });
        await run(['wal-fetch', name, destination]);
      }
      return { eachMs: (performance.now() - startedAt) / names.length, count: names.length };
    },
  };
}

/** Drives it for base backups of a running server. */
export function walGBase(place: WalGPlace): BasePeer {
  const at = (codec: DataCodecName) => runner(place, `base-${codec}`, codec, MAX_PARALLEL);
  return {
    name: 'WAL-G',
    packs: (codec) => METHODS[codec] !== undefined,
    backup: (codec) => at(codec)(['backup-push', place.pgdata, '--full']),
    async restore(codec, folder) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await place.account.own(folder);
      return at(codec)(['backup-fetch', folder, 'LATEST']);
    },
  };
}

function runner(place: WalGPlace, prefix: string, codec: CodecName, concurrency: number) {
  const { program, account, pgdata } = place;
  const env = walGEnvironment(place, prefix, METHODS[codec] ?? '', concurrency);
  return (args: readonly string[]) => runPeer(program, args, { env, account, folder: pgdata });
}

/** Its settings. Pure, the PATH apart. */
export function walGEnvironment(
  { store, pgdata, postgres }: Pick<WalGPlace, 'store' | 'pgdata' | 'postgres'>,
  prefix: string,
  method: string,
  concurrency: number,
): Record<string, string | undefined> {
  return {
    PATH: process.env.PATH,
    WALG_S3_PREFIX: `s3://${store.bucket}/wal-g/${prefix}`,
    AWS_ENDPOINT: store.endpoint,
    AWS_S3_FORCE_PATH_STYLE: 'true',
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
    WALG_COMPRESSION_METHOD: method,
    WALG_UPLOAD_CONCURRENCY: String(concurrency),
    WALG_DOWNLOAD_CONCURRENCY: String(concurrency),
    PGDATA: pgdata,
    ...(postgres === undefined
      ? {}
      : { PGHOST: postgres.socketFolder, PGPORT: String(postgres.port), PGUSER: 'postgres', PGDATABASE: 'postgres' }),
  };
}
