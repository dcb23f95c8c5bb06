// Multipart uploads: parts in any order, visible only when complete, nothing left open.

import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type MultipartUpload as S3Upload,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import type { S3Calls } from './s3-calls.ts';
import { attributesOf, unquoted } from './s3-put.ts';
import type { MultipartUpload, ObjectInfo, PutOptions } from './store.ts';

/** A request that makes an upload is not cut off at once: its answer names what must be aborted. */
const CREATE_GRACE_MS = 5_000;

type Head = (key: string, options: { signal?: AbortSignal }) => Promise<ObjectInfo | undefined>;

/** Starts an upload. */
export async function createMultipart(
  calls: S3Calls,
  head: Head,
  key: string,
  options: Omit<PutOptions, 'onlyIf'>,
): Promise<MultipartUpload> {
  const { signal } = options;
  signal?.throwIfAborted();
  const request = new CreateMultipartUploadCommand({ Bucket: calls.bucket, Key: key, ...attributesOf(options) });
  const late = withGrace(signal, CREATE_GRACE_MS);
  try {
    const answer = await calls.send('CreateMultipartUpload', key, late.signal, (client, send) =>
      client.send(request, send),
    );
    const upload = new S3MultipartUpload(calls, head, key, answer.UploadId ?? '');
    if (signal?.aborted) await upload.abort();
    signal?.throwIfAborted();
    return upload;
  } finally {
    late.release();
  }
}

/**
 * Aborts uploads below a prefix that were started before a time. A store that cannot list uploads has none to name:
 * nothing is aborted there (s3rver; MinIO lists only those of an exact key).
 */
export async function abortOrphans(
  calls: S3Calls,
  prefix: string,
  startedBefore: Date,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const aborted: string[] = [];
  for await (const { Key, UploadId, Initiated } of openUploads(calls, prefix, signal)) {
    if (Key === undefined || UploadId === undefined || Initiated === undefined || Initiated >= startedBefore) continue;
    await abortUpload(calls, Key, UploadId, signal);
    aborted.push(Key);
  }
  return aborted;
}

class S3MultipartUpload implements MultipartUpload {
  readonly #calls: S3Calls;
  readonly #head: Head;
  readonly #key: string;
  readonly #id: string;
  readonly #parts = new Map<number, { etag: string; sizeBytes: number; checksum: string | undefined }>();

  constructor(calls: S3Calls, head: Head, key: string, id: string) {
    this.#calls = calls;
    this.#head = head;
    this.#key = key;
    this.#id = id;
  }

  async part(number: number, bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<void> {
    const request = new UploadPartCommand({
      Bucket: this.#calls.bucket,
      Key: this.#key,
      UploadId: this.#id,
      PartNumber: number,
      Body: bytes,
    });
    const answer = await this.#calls.send('UploadPart', this.#key, options?.signal, (client, send) =>
      client.send(request, send),
    );
    this.#parts.set(number, { etag: answer.ETag ?? '', sizeBytes: bytes.length, checksum: answer.ChecksumCRC32 });
  }

  async complete(options?: { signal?: AbortSignal }): Promise<ObjectInfo> {
    const parts = [...this.#parts].sort(([a], [b]) => a - b);
    const sizeBytes = parts.reduce((sum, [, part]) => sum + part.sizeBytes, 0);
    const request = new CompleteMultipartUploadCommand({
      Bucket: this.#calls.bucket,
      Key: this.#key,
      UploadId: this.#id,
      MultipartUpload: {
        Parts: parts.map(([PartNumber, part]) => ({ PartNumber, ETag: part.etag, ChecksumCRC32: part.checksum })),
      },
    });
    try {
      const answer = await this.#calls.send('CompleteMultipartUpload', this.#key, options?.signal, (client, send) =>
        client.send(request, send),
      );
      return { key: this.#key, sizeBytes, etag: unquoted(answer.ETag), lastModified: new Date() };
    } catch (error) {
      const done = await this.#completedUnheard(error, sizeBytes, options?.signal);
      if (done === undefined) throw error;
      return done;
    }
  }

  async abort(): Promise<void> {
    await abortUpload(this.#calls, this.#key, this.#id, undefined);
  }

  /**
   * A completion whose answer was lost and that was repeated finds no such upload: it is done when the object has the
   * ETag that our parts give (digest of their digests), and only then.
   */
  async #completedUnheard(error: unknown, sizeBytes: number, signal: AbortSignal | undefined) {
    if (!(error instanceof StoreError) || error.failure !== 'absent') return undefined;
    const found = await this.#head(this.#key, signal === undefined ? {} : { signal });
    return found?.sizeBytes === sizeBytes && found.etag === this.#expectedEtag() ? found : undefined;
  }

  #expectedEtag(): string {
    const digests = [...this.#parts]
      .sort(([a], [b]) => a - b)
      .map(([, part]) => Buffer.from(unquoted(part.etag), 'hex'));
    return `${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${digests.length}`;
  }
}

async function abortUpload(calls: S3Calls, key: string, id: string, signal: AbortSignal | undefined): Promise<void> {
  const request = new AbortMultipartUploadCommand({ Bucket: calls.bucket, Key: key, UploadId: id });
  try {
    await calls.send('AbortMultipartUpload', key, signal, (client, send) => client.send(request, send));
  } catch (error) {
    const isGone = error instanceof StoreError && error.failure === 'absent';
    // Nobody can abort where the store has no such request (s3rver).
    const isUnknown = error instanceof StoreError && (error.status === 405 || error.status === 501);
    if (!isGone && !isUnknown) throw error;
  }
}

async function* openUploads(calls: S3Calls, prefix: string, signal: AbortSignal | undefined): AsyncIterable<S3Upload> {
  let after: { KeyMarker?: string; UploadIdMarker?: string } = {};
  for (;;) {
    const request = new ListMultipartUploadsCommand({ Bucket: calls.bucket, Prefix: prefix, ...after });
    const page = await calls
      .send('ListMultipartUploads', prefix, signal, (client, send) => client.send(request, send))
      .catch((error: unknown) => {
        if (error instanceof StoreError && error.status === 501) return undefined;
        throw error;
      });
    if (page === undefined) return;
    yield* page.Uploads ?? [];
    const { NextKeyMarker, NextUploadIdMarker } = page;
    const same = NextKeyMarker === after.KeyMarker && NextUploadIdMarker === after.UploadIdMarker;
    if (page.IsTruncated !== true || NextKeyMarker === undefined || same) return;
    after = { KeyMarker: NextKeyMarker, ...(NextUploadIdMarker ? { UploadIdMarker: NextUploadIdMarker } : {}) };
  }
}

/** A signal that follows another one some time later. */
function withGrace(signal: AbortSignal | undefined, graceMs: number) {
  const late = new AbortController();
  const released = new AbortController();
  const follow = () => {
    setTimeout(graceMs, undefined, { signal: released.signal }).then(
      () => late.abort(signal?.reason),
      () => undefined,
    );
  };
  signal?.addEventListener('abort', follow, { once: true });
  const release = () => {
    released.abort();
    signal?.removeEventListener('abort', follow);
  };
  return { signal: late.signal, release };
}
