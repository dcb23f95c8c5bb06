// Runs the real tools of barman against a store of a test.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** A store as the tools are told about it, and the folder of the tools; by default they are on the PATH. */
export type StoreForBarman = { endpoint: string; accessKeyId: string; secretAccessKey: string; programs?: string };

export type ToolResult = { status: number | null; stdout: string; stderr: string };

/** Runs `barman-cloud-<tool>`; a status other than 0 fails the test with its words. */
export async function barman(store: StoreForBarman, tool: string, args: string[]): Promise<ToolResult> {
  const result = await barmanAnswers(store, tool, args);
  assert.equal(result.status, 0, `barman-cloud-${tool}: ${result.stderr}`);
  return result;
}

/** Runs `barman-cloud-<tool>`, whatever it ends with. */
export async function barmanAnswers(store: StoreForBarman, tool: string, args: string[]): Promise<ToolResult> {
  const program = join(store.programs ?? '', `barman-cloud-${tool}`);
  const child = spawn(program, ['--endpoint-url', store.endpoint, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      AWS_ACCESS_KEY_ID: store.accessKeyId,
      AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
      AWS_DEFAULT_REGION: 'us-east-1',
    },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise<number | null>((resolve, reject) =>
    child.once('error', reject).once('close', resolve),
  );
  return { status, stdout, stderr };
}
