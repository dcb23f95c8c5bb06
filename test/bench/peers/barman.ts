// The barman tools. One program at a time for a single segment, as many as we have in flight for a backlog.
import { mkdir } from 'node:fs/promises';
import { findOnPath } from '../../interop/path.ts';
import type { Postgres } from '../../postgres.ts';
import type { DataCodecName } from '../base-options.ts';
import type { CodecName } from '../options.ts';
import { PACKINGS } from '../packings.ts';
import { MAX_PARALLEL } from '../rig.ts';
import type { BenchStore } from '../store.ts';
import type { BasePeer, WalPeer } from './peer.ts';
import { outputOfPeer, runPeer } from './run.ts';

/** Enough of it to know its pace. */
const MOST_BACKLOG_SEGMENTS = 32;
const MOST_RESTORED_SEGMENTS = 10;

/** Undefined when the tools are not on the PATH. */
export function findBarmanWal(store: BenchStore): WalPeer | undefined {
  const archive = findOnPath('barman-cloud-wal-archive');
  const restore = findOnPath('barman-cloud-wal-restore');
  if (archive === undefined || restore === undefined) return undefined;
  const { place, url, env } = doorOf(store);
  const archiveOne = (server: string, path: string, codec: CodecName) =>
    runPeer(archive, [...place, ...PACKINGS[codec].barman, url, server, path], { env });
  return {
    name: 'barman',
    packs: () => true,
    async archiveEach(codec, paths) {
      const calls: number[] = [];
      for (const path of paths) calls.push(await archiveOne(`barman-one-${codec}`, path, codec));
      return calls;
    },
    async archiveBacklog(codec, queue) {
      const paths = queue.paths.slice(0, MOST_BACKLOG_SEGMENTS);
      const waiting = paths.values();
      const startedAt = performance.now();
      const worker = async () => {
        for (const path of waiting) await archiveOne(`barman-${codec}`, path, codec);
      };
      await Promise.all(Array.from({ length: MAX_PARALLEL }, worker));
      return (performance.now() - startedAt) / paths.length;
    },
    async restore(codec, names, destination) {
      const few = names.slice(0, MOST_RESTORED_SEGMENTS);
      let totalMs = 0;
      for (const name of few) {
        totalMs += await runPeer(restore, [...place, url, `barman-${codec}`, name, destination], { env });
      }
      return { eachMs: totalMs / few.length, count: few.length };
    },
  };
}

/** Base backups by the tools, also of and to a place of ours. */
export type BarmanBase = BasePeer & {
  backupTo(server: string, codec: DataCodecName): Promise<number>;
  /** The only backup of a server, whoever wrote it. */
  restoreFrom(server: string, folder: string): Promise<number>;
};

/** Undefined when the tools are not on the PATH. */
export function findBarmanBase(store: BenchStore, postgres: Pick<Postgres, 'socketFolder' | 'port'>) {
  const backup = findOnPath('barman-cloud-backup');
  const restore = findOnPath('barman-cloud-restore');
  const list = findOnPath('barman-cloud-backup-list');
  if (backup === undefined || restore === undefined || list === undefined) return undefined;
  const { place, url, env } = doorOf(store);
  const server = ['--host', postgres.socketFolder, '--port', String(postgres.port), '--user', 'postgres'];
  const base: BarmanBase = {
    name: 'barman',
    packs: () => true,
    async backupTo(name, codec) {
      const packing = codec === 'none' ? [] : [`--${codec}`];
      const args = [...place, ...server, '--immediate-checkpoint', '--jobs', '2', ...packing, url, name];
      return runPeer(backup, args, { env });
    },
    backup: (codec) => base.backupTo(serverOf(codec), codec),
    async restoreFrom(name, folder) {
      const listed = JSON.parse(await outputOfPeer(list, [...place, '--format', 'json', url, name], { env }));
      const ids = (listed.backups_list as { backup_id: string }[]).map(({ backup_id }) => backup_id);
      await mkdir(folder, { recursive: true });
      return runPeer(restore, [...place, url, name, ids.at(-1) ?? '', folder], { env });
    },
    restore: (codec, folder) => base.restoreFrom(serverOf(codec), folder),
  };
  return base;
}

function serverOf(codec: DataCodecName): string {
  return `barman-${codec}`;
}

function doorOf(store: BenchStore) {
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
  };
  return { place: ['--endpoint-url', store.endpoint], url: `s3://${store.bucket}/`, env };
}
