// A real VersityGW on loopback for tests: an S3 server of a family of its own, which keeps objects as files.
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { startChild, until } from '../cluster/child.ts';
import { findTool } from '../cluster/tools.ts';
import { freePort } from './free-port.ts';

export type TestVersityGw = {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** For what the port does not show. */
  client: S3Client;
  createBucket(name: string): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
};

const ATTEMPTS = 3;

/** The program: CELLAR_VERSITYGW, else among the tools of a cluster or on the PATH; undefined when there is none. */
export function findVersityGw(): string | undefined {
  return process.env.CELLAR_VERSITYGW || findTool('versitygw');
}

/** Starts it with keys of its own. The folder for temporary files must take extended attributes. */
export async function startVersityGw(): Promise<TestVersityGw> {
  const program = findVersityGw();
  if (program === undefined) throw new Error('there is no VersityGW: name its program in CELLAR_VERSITYGW');
  const folder = await mkdtemp(join(tmpdir(), 'cellar-versitygw-'));
  const keys = { accessKeyId: `id${randomBytes(8).toString('hex')}`, secretAccessKey: randomBytes(24).toString('hex') };
  try {
    const env = { ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey };
    const { endpoint, stop } = await launch(program, folder, env);
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

/** A port that was free a moment ago may be taken, and then another one is tried. */
async function launch(program: string, folder: string, env: Record<string, string>) {
  const data = join(folder, 'data');
  await mkdir(data);
  for (let attempt = 1; ; attempt += 1) {
    const address = `127.0.0.1:${await freePort()}`;
    const endpoint = `http://${address}`;
    const child = await startChild({
      ...{ name: 'versitygw', program, args: ['--quiet', '--port', address, 'posix', data] },
      ...{ logFile: join(folder, 'log'), folder, env },
    });
    try {
      await until('VersityGW', () => fetch(endpoint), { children: [child] });
      return { endpoint, stop: () => child.stop('SIGKILL') };
    } catch (error) {
      await child.stop('SIGKILL');
      if (attempt === ATTEMPTS) throw error;
    }
  }
}
