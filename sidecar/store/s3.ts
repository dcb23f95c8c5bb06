// The port over S3 and its kin. Nothing is opened before the first request.

import { Readable } from 'node:stream';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { receivedBody } from './body.ts';
import { S3Calls } from './s3-calls.ts';
import { S3Error } from './s3-errors.ts';
import { listFolders, listObjects, S3Delete } from './s3-list.ts';
import { abortOrphans, createMultipart } from './s3-multipart.ts';
import { S3Put } from './s3-put.ts';
import type { S3Settings } from './s3-settings.ts';
import { PutVerifier, unquoted } from './s3-verify.ts';
import type { GetOptions, MultipartUpload, ObjectInfo, ObjectStorage, PutBody, PutOptions } from './store.ts';

const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

/** A bucket as an ObjectStorage. `note` takes what is found out about the store, once each. */
export function createS3Storage(settings: S3Settings, note: (text: string) => void = () => {}): ObjectStorage {
  return new S3Storage(settings, note);
}

class S3Storage implements ObjectStorage {
  readonly provider = 's3';
  readonly #calls: S3Calls;
  readonly #verifier: PutVerifier;
  readonly #put: S3Put;
  readonly #delete: S3Delete;

  constructor(settings: S3Settings, note: (text: string) => void) {
    this.#calls = new S3Calls(settings, note);
    this.#verifier = new PutVerifier(this.#calls, this, settings.requestChecksums === 'WHEN_SUPPORTED');
    this.#put = new S3Put(this.#calls, this.#verifier, settings.conditionalPut);
    this.#delete = new S3Delete(this.#calls);
  }

  get capabilities() {
    return { conditionalPut: this.#put.conditional, minPartBytes: MIN_PART_BYTES, maxParts: MAX_PARTS };
  }

  put(key: string, body: PutBody, options: PutOptions = {}): Promise<ObjectInfo> {
    return this.#put.put(key, body, options);
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectInfo | undefined> {
    const request = new HeadObjectCommand({ Bucket: this.#calls.bucket, Key: key });
    const answer = await this.#calls
      .send('HeadObject', key, options.signal, (client, send) => client.send(request, send))
      .catch(async (error: unknown) => {
        if (await this.#isAbsent(error, options.signal)) return undefined;
        throw await this.#explained(error, key, options.signal);
      });
    if (answer === undefined) return undefined;
    return {
      key,
      sizeBytes: answer.ContentLength ?? 0,
      etag: unquoted(answer.ETag),
      lastModified: answer.LastModified ?? new Date(0),
      metadata: lowerCased(answer.Metadata),
    };
  }

  async get(key: string, options: GetOptions = {}): Promise<{ info: ObjectInfo; body: Readable } | undefined> {
    const { signal } = options;
    const request = new GetObjectCommand({
      Bucket: this.#calls.bucket,
      Key: key,
      Range: rangeOf(options),
      IfMatch: options.etag === undefined ? undefined : `"${options.etag}"`,
    });
    const answer = await this.#calls
      .send('GetObject', key, signal, (client, send) => client.send(request, send))
      .catch(async (error: unknown) => {
        if (await this.#isAbsent(error, signal)) return undefined;
        throw error;
      });
    if (answer === undefined) return undefined;
    const fail = (cause: unknown) => asError(this.#calls.failure('GetObject', key, signal, cause));
    const { Body: source, ContentLength: length } = answer;
    if (!(source instanceof Readable) || length === undefined)
      throw fail(new Error('the answer has no body or no length'));
    const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
    if (request.input.Range !== undefined && total === undefined) {
      source.destroy();
      throw this.#rangeIgnored(key);
    }
    if (options.etag !== undefined && options.etag !== unquoted(answer.ETag)) {
      source.destroy();
      throw fail(Object.assign(new Error('the object has been replaced'), { code: 'PreconditionFailed' }));
    }
    const info = {
      key,
      sizeBytes: total === undefined ? length : Number(total),
      etag: unquoted(answer.ETag),
      lastModified: answer.LastModified ?? new Date(0),
      metadata: lowerCased(answer.Metadata),
    };
    return { info, body: receivedBody(source, length, fail, signal) };
  }

  list(prefix: string, options: { signal?: AbortSignal; startAfter?: string } = {}): AsyncIterable<ObjectInfo> {
    return listObjects(this.#calls, prefix, options);
  }

  listFolders(prefix: string, options: { signal?: AbortSignal } = {}): AsyncIterable<string> {
    return listFolders(this.#calls, prefix, options);
  }

  delete(keys: readonly string[], options: { signal?: AbortSignal } = {}) {
    return this.#delete.delete(keys, options.signal);
  }

  createMultipart(key: string, options: Omit<PutOptions, 'onlyIf'> = {}): Promise<MultipartUpload> {
    return createMultipart(this.#calls, this.#verifier, (found, send) => this.head(found, send), key, options);
  }

  abortOrphans(prefix: string, startedBefore: Date, options: { signal?: AbortSignal } = {}): Promise<string[]> {
    return abortOrphans(this.#calls, prefix, startedBefore, options.signal);
  }

  close(): void {
    this.#calls.client.destroy();
  }

  /** Whether a failed read says "no such object"; throws when it is the bucket that is missing. */
  async #isAbsent(error: unknown, signal: AbortSignal | undefined): Promise<boolean> {
    if (!(error instanceof S3Error)) return false;
    if (error.code === 'NoSuchKey') return true;
    if (error.status !== 404 || error.code === 'NoSuchBucket' || error.failure === 'refused') return false;
    await this.#calls.confirmBucket(signal);
    return true;
  }

  #rangeIgnored(key: string): StoreError {
    return new StoreError({
      failure: 'misconfigured',
      provider: 's3',
      operation: 'GetObject',
      key: `${this.#calls.bucket}/${key}`,
      reason: 'the store ignored the range that was asked for',
      hint: 'something between here and the store removes the header Range: check endpointURL and proxies',
    });
  }

  /** A HEAD is refused without a reason; the same asked as a GET of one byte has one. */
  async #explained(error: unknown, key: string, signal: AbortSignal | undefined): Promise<unknown> {
    if (!(error instanceof S3Error) || (error.failure !== 'refused' && error.failure !== 'misconfigured')) return error;
    if (error.status === undefined) return error;
    const request = new GetObjectCommand({ Bucket: this.#calls.bucket, Key: key, Range: 'bytes=0-0' });
    try {
      const answer = await this.#calls.send('HeadObject', key, signal, (client, send) => client.send(request, send));
      if (answer.Body instanceof Readable) answer.Body.destroy();
      return error;
    } catch (explained) {
      return explained instanceof S3Error && explained.status === error.status ? explained : error;
    }
  }
}

function rangeOf({ offset, length }: GetOptions): string | undefined {
  if (length !== undefined) return `bytes=${offset ?? 0}-${(offset ?? 0) + length - 1}`;
  return offset === undefined || offset === 0 ? undefined : `bytes=${offset}-`;
}

function lowerCased(metadata: Record<string, string> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
