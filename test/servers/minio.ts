// A real MinIO on loopback for tests: conditional puts, multipart uploads, tags and encryption as a full store has them.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { findOnPath } from '../interop/path.ts';
import { freePort } from './free-port.ts';

export type TestMinio = {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** For what the port does not show. */
  client: S3Client;
  createBucket(name: string): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
};

const START_LIMIT_MS = 60_000;
const ATTEMPTS = 3;

/** The program: CELLAR_MINIO, else `minio` on the PATH; undefined when there is none. */
export function findMinio(): string | undefined {
  return process.env.CELLAR_MINIO || findOnPath('minio');
}

/** Starts it with keys of its own. `kms`: with a static key, so that it can encrypt; without, it refuses to. */
export async function startMinio({ kms = false } = {}): Promise<TestMinio> {
  const program = findMinio();
  if (program === undefined)
    throw new Error('there is no MinIO: name its program in CELLAR_MINIO, or put it on the PATH');
  const folder = await mkdtemp(join(tmpdir(), 'cellar-minio-'));
  const keys = { accessKeyId: `id${randomBytes(8).toString('hex')}`, secretAccessKey: randomBytes(24).toString('hex') };
  try {
    const { endpoint, stop } = await launch(program, folder, {
      MINIO_ROOT_USER: keys.accessKeyId,
      MINIO_ROOT_PASSWORD: keys.secretAccessKey,
      ...(kms ? { MINIO_KMS_SECRET_KEY: `cellar:${randomBytes(32).toString('base64')}` } : {}),
    });
    const client = new S3Client({ region: 'us-east-1', endpoint, forcePathStyle: true, credentials: keys });
    return {
      ...{ endpoint, ...keys, client },
      async createBucket(name) {
        await client.send(new CreateBucketCommand({ Bucket: name }));
      },
      async stop() {
        client.destroy();
        await stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** MinIO takes no port 0: a port that was free a moment ago may be taken, and then another one is tried. */
async function launch(program: string, folder: string, env: Record<string, string>) {
  const [data, home] = [join(folder, 'data'), join(folder, 'home')];
  for (const path of [data, home]) await mkdir(path, { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    const [api, console] = [await freePort(), await freePort()];
    const address = `127.0.0.1:${api}`;
    const args = ['server', '--quiet', '--address', address, '--console-address', `127.0.0.1:${console}`, data];
    const minio = run(program, args, { PATH: process.env.PATH ?? '', HOME: home, MINIO_BROWSER: 'off', ...env });
    const endpoint = `http://${address}`;
    try {
      await healthy(`${endpoint}/minio/health/ready`, minio.ended);
      return { endpoint, stop: minio.stop };
    } catch (cause) {
      await minio.stop();
      if (attempt === ATTEMPTS) throw new Error(`MinIO does not start; it said: ${minio.said()}`, { cause });
    }
  }
}

function run(program: string, args: string[], env: Record<string, string>) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said = (said + chunk).slice(-4_000);
    });
  }
  const ended = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      resolve();
    });
    child.once('close', () => resolve());
  });
  // It must not outlive a test process that ends in the middle.
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  return {
    ended,
    said: () => said,
    async stop() {
      kill();
      await ended;
      process.off('exit', kill);
    },
  };
}

async function healthy(url: string, ended: Promise<void>): Promise<void> {
  let over = false;
  void ended.then(() => {
    over = true;
  });
  const limit = AbortSignal.timeout(START_LIMIT_MS);
  for (;;) {
    const ready = await fetch(url, { signal: limit }).then(
      (response) => response.ok,
      () => false,
    );
    if (over) throw new Error('it has ended');
    if (ready) return;
    await setTimeout(50, undefined, { signal: limit });
  }
}
