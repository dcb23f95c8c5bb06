// The real helm, as users run it.
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { CHART } from './values.ts';

const RELEASE = 'cellar';
const NAMESPACE = 'cnpg-system';

/** The program named in CELLAR_HELM, or the one on the PATH; undefined when there is none. */
export function findHelm(): string | undefined {
  return findProgram(process.env.CELLAR_HELM || 'helm', ['version']);
}

/** As above, for CELLAR_PROMTOOL. */
export function findPromtool(): string | undefined {
  return findProgram(process.env.CELLAR_PROMTOOL || 'promtool', ['--version']);
}

export type Outcome = { status: number; stdout: string; stderr: string };

/** Runs helm on the chart, as release `cellar` of the operator's namespace. */
export function helmTemplate(args: readonly string[]): Outcome {
  return helm(['template', RELEASE, CHART, '--namespace', NAMESPACE, ...args]);
}

/** What an installation would print, without a cluster. */
export function helmNotes(args: readonly string[]): Outcome {
  const outcome = helm(['install', RELEASE, CHART, '--namespace', NAMESPACE, '--dry-run=client', ...args]);
  return { ...outcome, stdout: outcome.stdout.split('\nNOTES:\n')[1] ?? '' };
}

export function helm(args: readonly string[]): Outcome {
  return run(process.env.CELLAR_HELM || 'helm', args);
}

export function run(program: string, args: readonly string[]): Outcome {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (error) throw error;
  return { status: status ?? 1, stdout, stderr };
}

function findProgram(program: string, args: string[]): string | undefined {
  return spawnSync(program, args).status === 0 ? program : undefined;
}

/** For programs that call servers of this process. Throws with what it printed when it fails. */
export async function runAsync(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
  const { stdout } = await promisify(execFile)(program, args, { env: { PATH: process.env.PATH ?? '', ...env } });
  return stdout;
}
