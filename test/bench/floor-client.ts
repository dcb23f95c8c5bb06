// The vendor's client at its best, and nothing around it: what a put and a get cost at least.
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { GivenS3 } from './options.ts';

export type FloorClient = {
  put(key: string, body: Buffer): Promise<void>;
  /** The whole object. */
  get(key: string): Promise<Buffer>;
  getRange(key: string, from: number, to: number): Promise<Buffer>;
  /** Reads an object, or some of it, and forgets it. */
  drain(key: string, from?: number, to?: number): Promise<void>;
};

export function createFloorClient(store: GivenS3 & { bucket: string }): FloorClient {
  const { endpoint, bucket: Bucket, ...credentials } = store;
  const client = new S3Client({
    ...{ endpoint, credentials, region: 'us-east-1', forcePathStyle: true, expectContinueHeader: false },
    ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: 50 } },
  });
  // As over TLS: to hash a body for its signature costs more than to send it.
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { headers: Record<string, string> };
      request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', priority: 'low', name: 'unsigned' },
  );
  const open = async (Key: string, from = 0, to?: number) => {
    const range = to === undefined ? {} : { Range: `bytes=${from}-${to}` };
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...range }));
    if (Body === undefined) throw new Error(`${Key}: no body`);
    return Body;
  };
  return {
    async put(Key, Body) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body }));
    },
    get: async (key) => Buffer.from(await (await open(key)).transformToByteArray()),
    getRange: async (key, from, to) => Buffer.from(await (await open(key, from, to)).transformToByteArray()),
    async drain(key, from, to) {
      for await (const _chunk of (await open(key, from, to)) as AsyncIterable<Buffer>);
    },
  };
}
