// A real S3 server on loopback for tests: s3rver on a free port, its data in a temporary folder. It knows no conditional
// put (it ignores the headers), no listing of multipart uploads, and any metadata but few checks.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { IncomingMessage, type Server } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

type S3rver = {
  httpServer: Server;
  store: {
    putBucket(name: string): Promise<unknown>;
    listObjects(bucket: string, options: { maxKeys?: number }): Promise<unknown>;
    putObject(object: { bucket: string; key: string; content: unknown }): Promise<{ size: number }>;
    getResourcePath(bucket: string, key: string, kind: 'object'): string;
  };
  run(): Promise<{ address: string; port: number }>;
  close(): Promise<void>;
};
type S3rverConstructor = new (options: {
  address: string;
  port: number;
  silent: boolean;
  directory: string;
  vhostBuckets: boolean;
}) => S3rver;

export type TestS3 = {
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Where s3rver keeps `<bucket>/<key>._S3rver_object`. */
  directory: string;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
};

const require = createRequire(import.meta.url);
let S3rver: S3rverConstructor | undefined;

/**
 * Starts it; `stop` closes its connections and removes its data. Pages of listings hold `pageSize` keys at most: stores
 * may answer less than was asked for, and small pages make paging cheap to test. Its folder is made below `parent`.
 */
export async function startS3({ pageSize = 1000, parent = tmpdir() } = {}): Promise<TestS3> {
  S3rver ??= loadS3rver();
  const directory = await mkdtemp(join(parent, 'cellar-s3-'));
  const server = new S3rver({ address: '127.0.0.1', port: 0, silent: true, directory, vhostBuckets: false });
  const list = server.store.listObjects.bind(server.store);
  server.store.listObjects = (bucket, { maxKeys = pageSize, ...options }) =>
    list(bucket, { ...options, maxKeys: Math.min(maxKeys, pageSize) });
  const put = server.store.putObject.bind(server.store);
  server.store.putObject = async (object) => {
    // s3rver would store what has arrived of a body that is cut off; S3 stores whole objects only.
    if (object.content instanceof IncomingMessage) object.content = await readWhole(object.content);
    const stored = await put(object);
    // It answers when the bytes are on their way to the file.
    const file = server.store.getResourcePath(object.bucket, object.key, 'object');
    while ((await stat(file).catch(() => undefined))?.size !== stored.size) await setTimeout(1);
    return stored;
  };
  const { port } = await server.run();
  return {
    endpoint: `http://127.0.0.1:${port}`,
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
    directory,
    createBucket: async (name) => {
      await server.store.putBucket(name);
    },
    stop: async () => {
      server.httpServer.closeAllConnections();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Throws when the connection ends before the body does. */
async function readWhole(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * s3rver 3.7 enciphers its continuation tokens with single DES, which OpenSSL 3 has dropped: a listing of more than one
 * page would be answered with 500. Triple DES with one key thrice is the same cipher. Only s3rver asks for `des`.
 */
function loadS3rver(): S3rverConstructor {
  const crypto: typeof import('node:crypto') = require('node:crypto');
  const { createCipheriv, createDecipheriv } = crypto;
  const thrice = (key: unknown) => (Buffer.isBuffer(key) ? Buffer.concat([key, key, key]) : Buffer.alloc(0));
  const tripled = <F extends (...args: never[]) => unknown>(original: F) =>
    new Proxy(original, {
      apply: (target, self, args: unknown[]) =>
        Reflect.apply(target, self, args[0] === 'des' ? ['des-ede3-cbc', thrice(args[1]), args[2]] : args),
    });
  Object.assign(crypto, {
    createCipheriv: tripled(createCipheriv),
    createDecipheriv: tripled(createDecipheriv),
  });
  return require('s3rver');
}
