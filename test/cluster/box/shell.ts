// Runs another program to its end.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const LIMIT_MS = 60_000;

/** Gives its standard output; throws with its standard error when it fails. */
export async function run(file: string, args: string[]): Promise<string> {
  try {
    return (await exec(file, args, { timeout: LIMIT_MS })).stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${file} ${args.slice(0, 6).join(' ')}: ${(stderr?.trim() || message).slice(0, 2000)}`);
  }
}
