// Runs a program of a peer to its end.
import { spawn } from 'node:child_process';
import type { Account } from '../../unprivileged.ts';

const MOST_OUTPUT = 100_000;

/** Who runs it: another account, or the caller without one. */
export type RunOptions = { env: Record<string, string | undefined>; account?: Account | undefined; folder?: string };

/** Milliseconds from the start of the program to its end. A status other than 0 throws the last that it said. */
export async function runPeer(program: string, args: readonly string[], options: RunOptions): Promise<number> {
  const startedAt = performance.now();
  await outputOfPeer(program, args, options);
  return performance.now() - startedAt;
}

/** The same; returns what it wrote to its standard output. */
export async function outputOfPeer(program: string, args: readonly string[], options: RunOptions): Promise<string> {
  const { account, env, folder } = options;
  const invoked = account?.invoke(program, args) ?? { program, args: [...args] };
  const { program: started, args: startedArgs, ...ids } = invoked;
  const settings = { ...ids, env, ...(folder === undefined ? {} : { cwd: folder }) };
  const child = spawn(started, startedArgs, { ...settings, stdio: ['ignore', 'pipe', 'pipe'] });
  let [output, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString('utf8')).slice(-MOST_OUTPUT);
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-MOST_OUTPUT);
  });
  const status = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${said.trim() || output.trim()}`);
  return output;
}
