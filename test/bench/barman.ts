// The barman tools, started anew for each file as barman's own archive_command and restore_command do.
import { spawn } from 'node:child_process';
import { findOnPath } from '../interop/path.ts';
import type { BenchStore } from './store.ts';

export type Barman = {
  /** Milliseconds from the start of the program to its end. */
  archive(server: string, path: string, flags: readonly string[]): Promise<number>;
  restore(server: string, name: string, destination: string): Promise<number>;
};

/** Undefined when the tools are not on the PATH. */
export function findBarman(store: BenchStore): Barman | undefined {
  const archive = findOnPath('barman-cloud-wal-archive');
  const restore = findOnPath('barman-cloud-wal-restore');
  if (archive === undefined || restore === undefined) return undefined;
  const place = ['--endpoint-url', store.endpoint];
  const url = `s3://${store.bucket}/`;
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
  };
  return {
    archive: (server, path, flags) => run(archive, [...place, ...flags, url, server, path], env),
    restore: (server, name, destination) => run(restore, [...place, url, server, name, destination], env),
  };
}

async function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let problem = '';
  child.stderr.on('data', (chunk: Buffer) => {
    problem += chunk.toString('utf8');
  });
  const status = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${problem}`);
  return performance.now() - startedAt;
}
