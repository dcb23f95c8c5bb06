// What the demo itself sees of the object store: it looks from outside, with the vendor's client or plain HTTP, not with ours.
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { TestAzurite } from '../servers/azurite.ts';
import type { TestFakeGcs } from '../servers/fake-gcs.ts';

export type StoredObject = { key: string; sizeBytes: number; lastModified: Date };

export type Buckets = {
  create(bucket: string): Promise<void>;
  list(bucket: string, prefix: string): Promise<StoredObject[]>;
  read(bucket: string, key: string): Promise<Buffer>;
  /** Removes a bucket with everything in it. */
  drop(bucket: string): Promise<void>;
  close(): void;
};

/** Talks to an S3 server. */
export function s3Buckets(server: { endpoint: string; accessKeyId: string; secretAccessKey: string }): Buckets {
  const { endpoint, ...credentials } = server;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });

  const buckets: Buckets = {
    async create(Bucket) {
      await client.send(new CreateBucketCommand({ Bucket }));
    },
    async list(Bucket, Prefix) {
      const found: StoredObject[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix,
            ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
          }),
        );
        for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
          found.push({ key: Key, sizeBytes: Size, lastModified: LastModified });
        }
        ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (ContinuationToken !== undefined);
      return found;
    },
    async read(Bucket, Key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    async drop(Bucket) {
      for (const { key } of await buckets.list(Bucket, '')) {
        await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
      }
      await client.send(new DeleteBucketCommand({ Bucket }));
    },
    close: () => client.destroy(),
  };
  return buckets;
}

/** Talks to Azurite. */
export function azureBuckets(azurite: TestAzurite): Buckets {
  return {
    create: (container) => azurite.createContainer(container),
    async list(container, prefix) {
      const found: StoredObject[] = [];
      for await (const { name, properties } of azurite.container(container).listBlobsFlat({ prefix })) {
        const { contentLength = 0, lastModified } = properties;
        found.push({ key: name, sizeBytes: contentLength, lastModified });
      }
      return found;
    },
    read: (container, key) => azurite.container(container).getBlobClient(key).downloadToBuffer(),
    async drop(container) {
      await azurite.container(container).delete();
    },
    close: () => undefined,
  };
}

/** Talks to fake-gcs-server, which lists everything in one page. */
export function gcsBuckets({ endpoint, createBucket }: TestFakeGcs): Buckets {
  const objects = (bucket: string) => `${endpoint}/storage/v1/b/${bucket}/o`;
  const get = async (url: string): Promise<Response> => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
    return response;
  };
  return {
    create: createBucket,
    async list(bucket, prefix) {
      const answer = await (await get(`${objects(bucket)}?prefix=${encodeURIComponent(prefix)}`)).json();
      // The shape of Google's object resource.
      const { items = [] } = answer as { items?: { name: string; size: string; updated: string }[] };
      return items.map(({ name, size, updated }) => ({
        key: name,
        sizeBytes: Number(size),
        lastModified: new Date(updated),
      }));
    },
    async read(bucket, key) {
      const response = await get(`${objects(bucket)}/${encodeURIComponent(key)}?alt=media`);
      return Buffer.from(await response.arrayBuffer());
    },
    async drop(bucket) {
      for (const { key } of await this.list(bucket, '')) {
        await fetch(`${objects(bucket)}/${encodeURIComponent(key)}`, { method: 'DELETE' });
      }
      await fetch(`${endpoint}/storage/v1/b/${bucket}`, { method: 'DELETE' });
    },
    close: () => undefined,
  };
}
