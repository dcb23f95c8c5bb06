// How far a long piece of work has come: in the log at a calm pace, and readable at any time.
import type { Log } from '../../api/wire/log.ts';

const PACE_MS = 30_000;
const MIB = 1024 * 1024;

export type ProgressReport = {
  files: number;
  sizeBytes: number;
  /** Since the start. */
  bytesPerSecond: number;
  /** Undefined where the total is not known. */
  totalBytes: number | undefined;
  /** An estimate; undefined where there is none yet. */
  secondsLeft: number | undefined;
};

export type Progress = {
  readonly sizeBytes: number;
  readonly files: number;
  /** One more file, or a piece of one. */
  add(sizeBytes: number, files: number): void;
  /** As of now. */
  report(): ProgressReport;
  /** Ends the reports. */
  stop(): void;
};

/** Starts to report bytes, files, rate and, where the total is known, share and estimate. */
export function startProgress(log: Log, work: string, totalBytes: number | undefined, paceMs = PACE_MS): Progress {
  const startedMs = performance.now();
  let sizeBytes = 0;
  let files = 0;
  const report = (): ProgressReport => {
    const bytesPerSecond = (1000 * sizeBytes) / Math.max(1, performance.now() - startedMs);
    const leftBytes = totalBytes === undefined ? undefined : Math.max(0, totalBytes - sizeBytes);
    const known = leftBytes !== undefined && bytesPerSecond > 0;
    return {
      files,
      sizeBytes,
      bytesPerSecond,
      totalBytes,
      secondsLeft: known ? leftBytes / bytesPerSecond : undefined,
    };
  };
  const timer = setInterval(() => log.info(factsOf(report()), `${work}: going on`), paceMs);
  timer.unref();
  return {
    report,
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

function factsOf({ files, sizeBytes, bytesPerSecond, totalBytes, secondsLeft }: ProgressReport) {
  return {
    files,
    mebibytes: Math.round(sizeBytes / MIB),
    mebibytesPerSecond: Number((bytesPerSecond / MIB).toFixed(1)),
    ...(totalBytes === undefined || secondsLeft === undefined
      ? {}
      : {
          percent: Math.min(100, Math.round((100 * sizeBytes) / Math.max(1, totalBytes))),
          secondsLeft: Math.round(secondsLeft),
        }),
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
