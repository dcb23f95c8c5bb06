// A real fake-gcs-server on loopback for tests.
import { spawn } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { findOnPath } from '../interop/path.ts';
import { freePort } from './free-port.ts';

export type TestFakeGcs = {
  /** For STORAGE_EMULATOR_HOST. */
  endpoint: string;
  createBucket(name: string): Promise<void>;
  /** Ends it; its objects were in memory. */
  stop(): Promise<void>;
};

const START_LIMIT_MS = 60_000;

/** The program: CELLAR_FAKE_GCS, else `fake-gcs-server` on the PATH; undefined when there is none. */
export function findFakeGcs(): string | undefined {
  return process.env.CELLAR_FAKE_GCS || findOnPath('fake-gcs-server');
}

/** Starts it, empty. */
export async function startFakeGcs(): Promise<TestFakeGcs> {
  const program = findFakeGcs();
  if (program === undefined) throw new Error('there is no fake-gcs-server: name its program in CELLAR_FAKE_GCS');
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const place = ['-scheme', 'http', '-host', '127.0.0.1', '-port', String(port), '-public-host', `127.0.0.1:${port}`];
  const args = [...place, '-external-url', endpoint, '-backend', 'memory', '-log-level', 'error'];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('error', () => undefined);
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  const began = performance.now();
  while (!(await answers(`${endpoint}/_internal/healthcheck`))) {
    if (child.exitCode !== null || performance.now() - began > START_LIMIT_MS) {
      await stop();
      throw new Error('fake-gcs-server did not start');
    }
    await setTimeout(20);
  }
  const createBucket = async (name: string) => {
    const body = JSON.stringify({ name });
    const answer = await fetch(`${endpoint}/storage/v1/b?project=test`, { method: 'POST', body });
    if (!answer.ok) throw new Error(`bucket ${name}: HTTP ${answer.status}`);
  };
  return { endpoint, createBucket, stop };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}
