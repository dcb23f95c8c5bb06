// The S3 server that everything in one run talks to: a process of its own, so that its CPU is not counted as ours.
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { s3Buckets } from '../demo/bucket.ts';
import type { Cleanup } from '../demo/cleanup.ts';
import { findMinio, startMinio } from '../servers/minio.ts';
import type { GivenS3 } from './options.ts';

export type BenchStore = GivenS3 & {
  what: string;
  bucket: string;
  /** Keys and sizes below a prefix. */
  list(prefix: string): Promise<{ key: string; sizeBytes: number }[]>;
  /** Removes everything from the bucket. */
  empty(): Promise<void>;
};

type Started = { server: GivenS3; what: string };

/** Uses the given server, or starts MinIO when it is here, else s3rver; makes a bucket, which the cleanup removes. */
export async function startStore(given: GivenS3 | undefined, cleanup: Cleanup): Promise<BenchStore> {
  const { server, what } = given === undefined ? await start(cleanup) : { server: given, what: given.endpoint };
  const bucket = `cellar-bench-${randomBytes(4).toString('hex')}`;
  const buckets = s3Buckets(server);
  cleanup.add(async () => buckets.close());
  await buckets.create(bucket);
  // A server of our own takes everything along when it ends.
  if (given !== undefined) cleanup.add(() => buckets.drop(bucket));
  return {
    ...{ ...server, what, bucket },
    list: (prefix) => buckets.list(bucket, prefix),
    async empty() {
      await buckets.drop(bucket);
      await buckets.create(bucket);
    },
  };
}

async function start(cleanup: Cleanup): Promise<Started> {
  const program = findMinio();
  if (program === undefined) {
    const what = 's3rver: slow, so the floors are high; MinIO would be better (CELLAR_MINIO or the PATH)';
    return { server: await startS3rver(cleanup), what };
  }
  const { endpoint, accessKeyId, secretAccessKey, stop } = await startMinio();
  cleanup.add(stop);
  return { server: { endpoint, accessKeyId, secretAccessKey }, what: `MinIO (${program})` };
}

async function startS3rver(cleanup: Cleanup): Promise<GivenS3> {
  const child = fork(join(import.meta.dirname, 's3rver-child.ts'), { execArgv: ['--disable-warning=DEP0040'] });
  const ended = once(child, 'exit');
  cleanup.add(async () => {
    if (child.connected) child.disconnect();
    await ended;
  });
  const started = once(child, 'message') as Promise<[GivenS3]>;
  const [server] = await Promise.race([started, ended.then(() => [undefined])]);
  if (server === undefined) throw new Error('s3rver did not start');
  return server;
}
