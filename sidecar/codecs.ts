// Asks at start whether every codec can be used on this machine, in a process of its own: a library that is missing is an
// error then and not a surprise at the first segment, and what was only asked for leaves no memory behind.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { PreconditionError } from '../api/errors.ts';

/** Name of the command of main.ts that loads the libraries and ends with 0, or with 1 and a line that names one. */
export const CODECS_COMMAND = 'codecs';

/** Runs that command of this very program. Throws PreconditionError with its line. */
export async function assertCodecs(
  program: readonly string[] = [process.execPath, process.argv[1] ?? ''],
): Promise<void> {
  const [file = '', ...args] = program;
  const child = spawn(file, [...args, CODECS_COMMAND], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [line, status] = await Promise.all([text(child.stderr), ended]);
  if (status !== 0) throw new PreconditionError(line.trim().replace(/^cellar: /, '') || `codecs ended with ${status}`);
}
