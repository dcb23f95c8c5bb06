// kubectl as people run it: its status, what it printed, and objects read back.
import { spawn } from 'node:child_process';
import { tool } from './tools.ts';

export type Said = { status: number; stdout: string; stderr: string };

export type Kubectl = {
  /** Runs it to its end; any status is an answer. `more` is added to its environment. */
  tries(args: readonly string[], input?: string, more?: Record<string, string>): Promise<Said>;
  /** The same, which must succeed; gives standard output. */
  does(args: readonly string[], input?: string): Promise<string>;
  /** Applies objects in their order. */
  apply(...objects: object[]): Promise<string>;
  /** One object, of any shape; undefined when there is none. */
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind, judged by the test that reads them
  get(kind: string, namespace: string | undefined, name: string): Promise<any>;
};

const LIMIT_MS = 60_000;

/** `env` holds KUBECONFIG; `wrap` is what the command line begins with, to run it inside of a network namespace. */
export function createKubectl(env: Record<string, string>, wrap: readonly string[] = []): Kubectl {
  const tries = (args: readonly string[], input = '', more: Record<string, string> = {}): Promise<Said> =>
    run([...wrap, tool('kubectl'), ...args], input, { ...env, ...more });
  const does = async (args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await tries(args, input);
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim() || `status ${status}`}`);
    return stdout;
  };
  return {
    tries,
    does,
    apply: (...items) => does(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items })),
    async get(kind, namespace, name) {
      const where = namespace === undefined ? [] : ['-n', namespace];
      const text = await does(['get', kind, name, ...where, '--ignore-not-found', '-o', 'json']);
      return text === '' ? undefined : JSON.parse(text);
    },
  };
}

function run(command: readonly string[], input: string, env: Record<string, string>): Promise<Said> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH: process.env.PATH ?? '', ...env }, timeout: LIMIT_MS });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (said.stdout += chunk));
    child.stderr.on('data', (chunk) => (said.stderr += chunk));
    child.once('error', reject);
    child.once('close', (status, signal) => {
      if (status === null) reject(new Error(`kubectl ${args.join(' ')} was ended by ${signal}: ${said.stderr}`));
      else resolve({ status, ...said });
    });
    // It may end without having read everything.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
