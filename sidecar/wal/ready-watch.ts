// Looks now and then how much WAL waits for archiving, so that a backlog shows also while PostgreSQL asks for nothing.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../api/errors.ts';
import type { Log } from '../../api/wire/log.ts';
import { readyNames } from './look-ahead.ts';
import type { WalMetrics } from './wal-metrics.ts';

export type ReadyWatch = {
  /** Looks at once, and then every 15 s. Keeps no process alive. */
  start(): void;
  /** Resolves when no look is on its way any more. */
  stop(): Promise<void>;
};

export type ReadyWatchDeps = {
  pgdata: string;
  metrics: Pick<WalMetrics, 'readyFiles' | 'oldestReady'>;
  log: Log;
  /** Between two looks, milliseconds. */
  paceMs?: number;
};

const PACE_MS = 15_000;
/**
 * Files whose age is looked at: PostgreSQL asks for history files first and then by name, so the oldest is among the first,
 * and a backlog of a hundred thousand files costs no more than one of these.
 */
const LOOKED_AT = 16;

/** Makes the watch. What cannot be read counts as nothing: before a restore there is no data folder. */
export function createReadyWatch({ pgdata, metrics, log, paceMs = PACE_MS }: ReadyWatchDeps): ReadyWatch {
  const folder = join(pgdata, 'pg_wal', 'archive_status');
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;

  const look = (): void => {
    looking ??= lookOnce(folder, metrics)
      .catch((error: unknown) => log.debug({ error: messageOf(error) }, 'archive_status cannot be read'))
      .finally(() => {
        looking = undefined;
      });
  };
  return {
    start() {
      look();
      timer = setInterval(look, paceMs);
      timer.unref();
    },
    async stop() {
      clearInterval(timer);
      await looking;
    },
  };
}

/** Sets the gauges to what waits in a folder `archive_status` now. */
export async function lookOnce(folder: string, metrics: ReadyWatchDeps['metrics']): Promise<void> {
  const names = await readdir(folder).then(readyNames, (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const times = await Promise.all(names.slice(0, LOOKED_AT).map((name) => readySince(join(folder, `${name}.ready`))));
  const known = times.filter((time) => time !== undefined);
  metrics.readyFiles.set(names.length);
  metrics.oldestReady(known.length === 0 ? undefined : Math.min(...known));
}

/** Undefined when it has been archived meanwhile. */
async function readySince(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}
