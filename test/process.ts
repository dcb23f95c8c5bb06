// A child process of a test or of the demo: started by the account that it needs, its output in a file, stopped for sure.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Account } from './unprivileged.ts';

export type Ended = { code: number | null; signal: NodeJS.Signals | null };

export type LocalProcess = {
  name: string;
  pid: number;
  logFile: string;
  /** Settles when the process has ended, however. */
  ended: Promise<Ended>;
  /** What it ended with; undefined while it runs. */
  result(): Ended | undefined;
  /** Peak resident memory until now, bytes; undefined once it has ended. */
  peakMemoryBytes(): number | undefined;
  /** Signals, waits, and kills what has not ended within the limit. */
  stop(signal?: NodeJS.Signals, limitMs?: number): Promise<Ended>;
};

const STOP_LIMIT_MS = 30_000;

/** Children that run: they are in process groups of their own, so nobody else ends them when this process does. */
const living = new Set<{ kill(): void; ended: Promise<unknown> }>();
process.once('exit', () => {
  for (const child of living) child.kill();
});

/** Kills every child that still runs, also one that is just being started, and waits for its end. */
export async function killLeftOver(): Promise<void> {
  for (const child of living) child.kill();
  await Promise.all([...living].map(({ ended }) => ended));
}

/** Starts a program; rejects when it cannot be executed at all. */
export async function startProcess(options: {
  name: string;
  account: Account;
  program: string;
  args: readonly string[];
  env: Record<string, string>;
  folder: string;
  logFile: string;
}): Promise<LocalProcess> {
  const { program, args, ...ids } = options.account.invoke(options.program, options.args);
  const log = openSync(options.logFile, 'a');
  // Its own process group: Ctrl-C reaches the demo only, which then stops things in their order.
  const settings = { ...ids, cwd: options.folder, env: options.env, detached: true };
  const child = spawn(program, args, { ...settings, stdio: ['ignore', log, log] });
  closeSync(log);

  let result: Ended | undefined;
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      result = { code, signal };
      resolve(result);
    });
  });
  const entry = { kill: () => void child.kill('SIGKILL'), ended };
  living.add(entry);
  child.once('error', () => living.delete(entry));
  void ended.then(() => living.delete(entry));
  const pid = await new Promise<number>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${options.name} cannot be started: ${error.message}`)));
    child.once('spawn', () => resolve(child.pid ?? 0));
  });
  return {
    name: options.name,
    pid,
    logFile: options.logFile,
    ended,
    result: () => result,
    peakMemoryBytes: () => (result === undefined ? peakMemoryBytes(pid) : undefined),
    async stop(signal = 'SIGTERM', limitMs = STOP_LIMIT_MS) {
      if (result === undefined) child.kill(signal);
      const killer = setTimeout(() => child.kill('SIGKILL'), limitMs);
      try {
        return await ended;
      } finally {
        clearTimeout(killer);
      }
    },
  };
}

/** VmHWM of a process, bytes. */
export function peakMemoryBytes(pid: number): number | undefined {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}

/** The last lines of a log, for messages. */
export function tailOf(logFile: string, lines = 20): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '(no log)';
  }
}
