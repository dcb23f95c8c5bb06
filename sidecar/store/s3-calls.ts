// How every request to S3 is made: one place for the client, the bucket, aborting and the translation of errors.
import { HeadBucketCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { createS3Client, secretsOf } from './s3-client.ts';
import { factsOf, toStoreError } from './s3-errors.ts';
import type { S3Settings } from './s3-settings.ts';

type Request<T> = (client: S3Client, options: { abortSignal?: AbortSignal }) => Promise<T>;

/** For so long a bucket that was seen is taken to be there. */
const BUCKET_SEEN_MS = 10_000;

/** The client with its bucket. */
export class S3Calls {
  readonly bucket: string;
  readonly client: S3Client;
  readonly #secrets: readonly string[];
  readonly #note: (text: string) => void;
  readonly #noted = new Set<string>();
  #bucketSeenAt = Number.NEGATIVE_INFINITY;

  constructor(settings: S3Settings, note: (text: string) => void) {
    this.bucket = settings.bucket;
    this.client = createS3Client(settings);
    this.#secrets = secretsOf(settings);
    this.#note = note;
  }

  /** Tells once what the store cannot do, and what is done instead. */
  noteOnce(text: string): void {
    if (this.#noted.has(text)) return;
    this.#noted.add(text);
    this.#note(text);
  }

  /** Makes a request; throws the signal's reason when it was aborted, a StoreError for everything else. */
  async send<T>(operation: string, key: string, signal: AbortSignal | undefined, request: Request<T>): Promise<T> {
    signal?.throwIfAborted();
    try {
      return await request(this.client, signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      throw this.failure(operation, key, signal, error);
    }
  }

  /** What to throw for something thrown. */
  failure(operation: string, key: string, signal: AbortSignal | undefined, thrown: unknown): unknown {
    if (signal?.aborted) return signal.reason;
    return toStoreError(thrown, { operation, key: `${this.bucket}/${key}`, secrets: this.#secrets });
  }

  /**
   * Says that a 404 means "no such object": throws `misconfigured` when it is the bucket that is missing. Stores answer
   * a HEAD without a body, and gateways answer 404 to anything they do not know, so only the bucket's own HEAD tells.
   */
  async confirmBucket(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#bucketSeenAt < BUCKET_SEEN_MS) return;
    signal?.throwIfAborted();
    try {
      await this.client.send(
        new HeadBucketCommand({ Bucket: this.bucket }),
        signal === undefined ? {} : { abortSignal: signal },
      );
    } catch (error) {
      const { status, requestId } = factsOf(error);
      if (status === 404) throw (await this.#refusalOf(signal)) ?? this.#bucketMissing(requestId);
      // A bucket that may not be looked at is a bucket that is there.
      if (status !== 403) throw this.failure('HeadBucket', '', signal, error);
    }
    this.#bucketSeenAt = performance.now();
  }

  /** A HEAD has no reason: VersityGW answers 404 to keys that it does not know, which only an answer with a body shows. */
  async #refusalOf(signal: AbortSignal | undefined): Promise<StoreError | undefined> {
    const request = new ListObjectsV2Command({ Bucket: this.bucket, MaxKeys: 1 });
    const answer = this.send('ListObjectsV2', '', signal, (client, send) => client.send(request, send));
    return answer.then(
      () => undefined,
      (error: unknown) => {
        if (signal?.aborted) throw error;
        return error instanceof StoreError && error.failure === 'refused' && error.status === 404 ? error : undefined;
      },
    );
  }

  #bucketMissing(requestId: string | undefined): StoreError {
    return new StoreError({
      failure: 'misconfigured',
      provider: 's3',
      operation: 'HeadBucket',
      key: this.bucket,
      status: 404,
      requestId,
      reason: 'the bucket does not exist',
      hint: 'check destinationPath and endpointURL, or create the bucket',
    });
  }
}
