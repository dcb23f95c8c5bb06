// What the demo itself sees of the object store: it looks from outside, with the vendor's client, not with ours.
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';

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
export function openBuckets(server: { endpoint: string; accessKeyId: string; secretAccessKey: string }): Buckets {
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
