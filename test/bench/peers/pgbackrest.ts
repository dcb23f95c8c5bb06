// pgBackRest, with a repository of its own for each way of packing. It speaks TLS only to S3, so it gets a MinIO of its own.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { findOnPath } from '../../interop/path.ts';
import type { Account } from '../../unprivileged.ts';
import type { DataCodecName } from '../base-options.ts';
import type { CodecName } from '../options.ts';
import { MAX_PARALLEL } from '../rig.ts';
import type { BasePeer, WalPeer } from './peer.ts';
import { runPeer } from './run.ts';
import type { TlsStore } from './tls-store.ts';

export type PgBackRestPlace = {
  store: TlsStore;
  /** For its configuration, locks and spool; the account owns it. */
  folder: string;
  account: Account;
  pgdata: string;
  /** Undefined where no server runs. */
  postgres?: { socketFolder: string; port: number };
};

export const PGBACKREST = 'pgbackrest';
const STANZA = 'bench';

type Compression = { type: string; level?: number };

const NONE: Compression = { type: 'none' };

/** Segments at the levels of the other programs; its bzip2 is compared with by no goal. */
const WAL_COMPRESSION: Partial<Record<CodecName, Compression>> = {
  gzip: { type: 'gz', level: 6 },
  lz4: { type: 'lz4' },
  zstd: { type: 'zst', level: 3 },
  none: { type: 'none' },
};

/** Base backups at its own default levels (gz 6, lz4 1), as barman's are at its own. */
const DATA_COMPRESSION: Partial<Record<DataCodecName, Compression>> = {
  gzip: { type: 'gz' },
  lz4: { type: 'lz4' },
  none: { type: 'none' },
};

/** Drives the program on the PATH for WAL; `pgdata` needs no more than a control file and `pg_wal`. */
export function pgBackRestWal(place: PgBackRestPlace): WalPeer {
  const one = (codec: CodecName) => session(place, `one-${codec}`, WAL_COMPRESSION[codec] ?? NONE, { processes: 1 });
  const many = (codec: CodecName) =>
    session(place, `backlog-${codec}`, WAL_COMPRESSION[codec] ?? NONE, { processes: MAX_PARALLEL, async: true });
  return {
    name: 'pgBackRest',
    packs: (codec) => WAL_COMPRESSION[codec] !== undefined,
    async archiveEach(codec, paths) {
      const run = await one(codec);
      await run(['stanza-create', '--no-online']);
      const calls: number[] = [];
      for (const path of paths) calls.push(await run(['archive-push', path]));
      return calls;
    },
    async archiveBacklog(codec, queue) {
      const run = await many(codec);
      await run(['stanza-create', '--no-online']);
      const startedAt = performance.now();
      await queue.archiveWith((path) => run(['archive-push', path]));
      return (performance.now() - startedAt) / queue.paths.length;
    },
    async restore(codec, names, destination) {
      const run = await many(codec);
      const startedAt = performance.now();
      for (const name of names) {
        await rm(destination, { force: true });
        await run(['archive-get', name, destination]);
      }
      return { eachMs: (performance.now() - startedAt) / names.length, count: names.length };
    },
  };
}

/** Drives it for base backups of a running server; its WAL goes elsewhere, which it is told not to mind. */
export function pgBackRestBase(place: PgBackRestPlace): BasePeer {
  const at = (codec: DataCodecName) =>
    session(place, `base-${codec}`, DATA_COMPRESSION[codec] ?? NONE, { processes: availableParallelism() });
  return {
    name: 'pgBackRest',
    packs: (codec) => DATA_COMPRESSION[codec] !== undefined,
    async backup(codec) {
      const run = await at(codec);
      await run(['stanza-create']);
      return run(['backup', '--type=full', '--start-fast', '--no-archive-check']);
    },
    async restore(codec, folder) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await place.account.own(folder);
      const run = await at(codec);
      return run(['restore', `--pg1-path=${folder}`]);
    },
  };
}

/** Writes its configuration, with folders and a repository of its own, and returns how to run it; milliseconds. */
async function session(
  place: PgBackRestPlace,
  name: string,
  compression: Compression,
  options: { processes: number; async?: boolean },
): Promise<(args: readonly string[]) => Promise<number>> {
  const program = findOnPath(PGBACKREST) ?? PGBACKREST;
  const folder = join(place.folder, `${PGBACKREST}-${name}`);
  for (const part of ['lock', 'spool', 'log']) await mkdir(join(folder, part), { recursive: true });
  const file = join(folder, 'pgbackrest.conf');
  await writeFile(file, formatConfiguration({ ...place, folder }, name, compression, options));
  await place.account.own(folder);
  // Variables named PGBACKREST_… would change its settings.
  const env = { PATH: process.env.PATH };
  const { account } = place;
  return (args) => runPeer(program, [`--config=${file}`, `--stanza=${STANZA}`, ...args], { env, account, folder });
}

/** Its configuration file. Pure. */
export function formatConfiguration(
  { store, folder, pgdata, postgres }: Omit<PgBackRestPlace, 'account'>,
  name: string,
  { type, level }: Compression,
  { processes, async = false }: { processes: number; async?: boolean },
): string {
  const global: [string, string | number | undefined][] = [
    ['repo1-type', 's3'],
    ['repo1-path', `/${name}`],
    ['repo1-s3-bucket', store.bucket],
    ['repo1-s3-endpoint', store.host],
    ['repo1-s3-region', 'us-east-1'],
    ['repo1-s3-uri-style', 'path'],
    ['repo1-s3-key', store.accessKeyId],
    ['repo1-s3-key-secret', store.secretAccessKey],
    ['repo1-storage-host', store.host],
    ['repo1-storage-port', store.port],
    ['repo1-storage-verify-tls', 'n'],
    ['repo1-retention-full', 1],
    ['lock-path', join(folder, 'lock')],
    ['spool-path', join(folder, 'spool')],
    ['log-path', join(folder, 'log')],
    ['log-level-file', 'off'],
    ['compress-type', type],
    ['compress-level', level],
    ['process-max', processes],
    ['archive-async', async ? 'y' : undefined],
  ];
  const server: [string, string | number | undefined][] = [
    ['pg1-path', pgdata],
    ['pg1-socket-path', postgres?.socketFolder],
    ['pg1-port', postgres?.port],
    ['pg1-user', postgres === undefined ? undefined : 'postgres'],
  ];
  const section = (title: string, settings: [string, string | number | undefined][]) =>
    [`[${title}]`, ...settings.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))].join('\n');
  return `${section('global', global)}\n\n${section(STANZA, server)}\n`;
}
