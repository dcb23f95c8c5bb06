// Programs of a cluster, which end with the process that started them however it ends.
import { type LocalProcess, startProcess, tailOf } from '../process.ts';
import type { Account } from '../unprivileged.ts';

/** As whoever runs the tests; the kernel kills the program when we are gone, also after a SIGKILL of ours. */
const TIED: Account = {
  name: undefined,
  invoke: (program, args) => ({ program: 'setpriv', args: ['--pdeathsig', 'KILL', '--', program, ...args] }),
  own: async () => {},
  executableFolder: async (folder) => folder,
};

/** Starts it with its output in `logFile`, to which every start adds. */
export function startChild(options: {
  name: string;
  program: string;
  args: readonly string[];
  logFile: string;
  folder: string;
  env?: Record<string, string>;
}): Promise<LocalProcess> {
  const env = { PATH: process.env.PATH ?? '', HOME: options.folder, ...options.env };
  return startProcess({ ...options, account: TIED, env });
}

/**
 * Asks again and again until the answer is neither undefined nor false. Throws when one of the children has ended, with
 * the end of its log, and after the limit, with the last failure.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { limitMs = 60_000, children = [] as readonly LocalProcess[] } = {},
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    let failure: unknown;
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
    } catch (error) {
      failure = error;
    }
    const dead = children.find((child) => child.result() !== undefined);
    if (dead) throw new Error(`${dead.name} ended while we waited for ${what}; it said:\n${tailOf(dead.logFile)}`);
    if (performance.now() > deadline) {
      const why = failure instanceof Error ? `: ${failure.message}` : '';
      throw new Error(`waited ${limitMs / 1000} s in vain for ${what}${why}`, { cause: failure });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
