// Says in the log, at a calm pace, how far a long piece of work has come.
import type { Log } from '../../api/wire/log.ts';

const PACE_MS = 30_000;
const MIB = 1024 * 1024;

export type Progress = {
  readonly sizeBytes: number;
  readonly files: number;
  /** One more file, or a piece of one. */
  add(sizeBytes: number, files: number): void;
  /** Ends the reports. */
  stop(): void;
};

/** Starts to report bytes, files, rate and, where the total is known, share and estimate. */
export function startProgress(log: Log, work: string, totalBytes: number | undefined, paceMs = PACE_MS): Progress {
  const startedMs = performance.now();
  let sizeBytes = 0;
  let files = 0;
  const timer = setInterval(() => {
    const seconds = (performance.now() - startedMs) / 1000;
    const rate = sizeBytes / seconds;
    const known = totalBytes !== undefined && totalBytes > 0 && rate > 0;
    log.info(
      {
        files,
        mebibytes: Math.round(sizeBytes / MIB),
        mebibytesPerSecond: Number((rate / MIB).toFixed(1)),
        ...(known
          ? {
              percent: Math.min(100, Math.round((100 * sizeBytes) / totalBytes)),
              secondsLeft: Math.round(Math.max(0, totalBytes - sizeBytes) / rate),
            }
          : {}),
      },
      `${work}: going on`,
    );
  }, paceMs);
  timer.unref();
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    get files() {
      return files;
    },
    add(moreBytes, moreFiles) {
      sizeBytes += moreBytes;
      files += moreFiles;
    },
    stop() {
      clearInterval(timer);
    },
  };
}

/** Waits for something and says so, once after a moment and then at a calm pace. */
export async function sayWhileWaiting<T>(log: Log, message: string, work: Promise<T>, paceMs = PACE_MS): Promise<T> {
  const first = setTimeout(() => log.info(message), Math.min(5000, paceMs));
  const again = setInterval(() => log.info(message), paceMs);
  first.unref();
  again.unref();
  try {
    return await work;
  } finally {
    clearTimeout(first);
    clearInterval(again);
  }
}
