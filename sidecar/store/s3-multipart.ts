// Multipart uploads: parts in any order, visible only when complete, nothing left open.

import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  ListMultipartUploadsCommand,
  type MultipartUpload as S3Upload,
  UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { digestWhileSending, type SentBytes } from './digests.ts';
import type { S3Calls } from './s3-calls.ts';
import { MAX_ATTEMPTS } from './s3-client.ts';
import { S3Error } from './s3-errors.ts';
import { withGrace } from './s3-grace.ts';
import { attributesOf } from './s3-put.ts';
import { type PutVerifier, unquoted } from './s3-verify.ts';
import type { MultipartUpload, ObjectInfo, PutOptions } from './store.ts';

type Part = { etag: string; sizeBytes: number; checksum: string | undefined };
type Head = (key: string, options: { signal?: AbortSignal }) => Promise<ObjectInfo | undefined>;

/** Starts an upload. */
export async function createMultipart(
  calls: S3Calls,
  verifier: PutVerifier,
  head: Head,
  key: string,
  options: Omit<PutOptions, 'onlyIf'>,
): Promise<MultipartUpload> {
  const { signal } = options;
  signal?.throwIfAborted();
  const input = { Bucket: calls.bucket, Key: key, ...attributesOf(options) };
  // Not cut off at once: its answer names what must be aborted.
  const late = withGrace(signal);
  try {
    const id = await verifier.parts.checked(
      () => create(calls, key, { ...input, ChecksumAlgorithm: 'CRC32' }, late.signal),
      () => create(calls, key, input, late.signal),
    );
    const upload = new S3MultipartUpload(calls, verifier, head, key, id, options.encryption);
    if (signal?.aborted) await upload.abort();
    signal?.throwIfAborted();
    return upload;
  } finally {
    late.release();
  }
}

async function create(
  calls: S3Calls,
  key: string,
  input: CreateMultipartUploadCommandInput,
  signal: AbortSignal | undefined,
): Promise<string> {
  const answer = await calls.send('CreateMultipartUpload', key, signal, (client, send) =>
    client.send(new CreateMultipartUploadCommand(input), send),
  );
  return answer.UploadId ?? '';
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
  readonly #verifier: PutVerifier;
  readonly #head: Head;
  readonly #key: string;
  readonly #id: string;
  readonly #encryption: PutOptions['encryption'];
  readonly #parts = new Map<number, Part>();

  constructor(
    calls: S3Calls,
    verifier: PutVerifier,
    head: Head,
    key: string,
    id: string,
    encryption: PutOptions['encryption'],
  ) {
    this.#calls = calls;
    this.#verifier = verifier;
    this.#head = head;
    this.#key = key;
    this.#id = id;
    this.#encryption = encryption;
  }

  async part(number: number, bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const part = await this.#sendPart(number, bytes, options?.signal);
      if (part !== undefined) {
        this.#parts.set(number, part);
        return;
      }
      if (attempt === MAX_ATTEMPTS) {
        const reason = `the store holds other bytes of part ${number} than were sent, ${MAX_ATTEMPTS} times`;
        throw this.#verifier.mismatch('UploadPart', this.#key, reason);
      }
    }
  }

  /** Undefined when the store has other bytes than were sent: the same number sent again takes their place. */
  #sendPart(number: number, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Part | undefined> {
    return this.#verifier.parts.checked(
      () => this.#sendChecked(number, bytes, signal),
      () => this.#sendDigested(number, bytes, signal),
    );
  }

  /** With its CRC-32, which the store compares itself and answers. */
  async #sendChecked(number: number, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Part | undefined> {
    const never = new AbortController().signal;
    const sent = await digestWhileSending(bytes, { md5: false, crc32: true }, never);
    try {
      const answer = await this.#send(number, { Body: bytes, ChecksumCRC32: sent.crc32 }, signal);
      if (this.#verifier.parts.believes(answer)) return this.#accepted(sent, answer);
      const wanted = this.#verifier.wanted(this.#encryption);
      return this.#accepted(await digestWhileSending(bytes, wanted, never), answer);
    } catch (error) {
      if (error instanceof S3Error && error.code === 'BadDigest') return undefined;
      throw error;
    }
  }

  async #sendDigested(number: number, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<Part | undefined> {
    const done = new AbortController();
    const digests = digestWhileSending(bytes, this.#verifier.wanted(this.#encryption), done.signal);
    try {
      const answer = await this.#send(number, { Body: bytes }, signal);
      return this.#accepted(await digests, answer);
    } finally {
      done.abort();
    }
  }

  #send(
    PartNumber: number,
    content: { Body: Uint8Array; ChecksumCRC32?: string | undefined },
    signal: AbortSignal | undefined,
  ): Promise<UploadPartCommandOutput> {
    const at = { Bucket: this.#calls.bucket, Key: this.#key, UploadId: this.#id, PartNumber };
    const request = new UploadPartCommand({ ...at, ...content });
    return this.#calls.send('UploadPart', this.#key, signal, (client, send) => client.send(request, send));
  }

  #accepted(sent: SentBytes, answer: UploadPartCommandOutput): Part | undefined {
    if (!this.#verifier.acceptsPart(sent, answer)) return undefined;
    return { etag: answer.ETag ?? '', sizeBytes: sent.sizeBytes, checksum: answer.ChecksumCRC32 };
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
      await this.#calls.send('CompleteMultipartUpload', this.#key, options?.signal, (client, send) =>
        client.send(request, send),
      );
    } catch (error) {
      const done = await this.#completedUnheard(error, sizeBytes, options?.signal);
      if (done === undefined) throw error;
      return done;
    }
    return this.#verifier.confirmSize('CompleteMultipartUpload', this.#key, sizeBytes, options?.signal);
  }

  async abort(): Promise<void> {
    await abortUpload(this.#calls, this.#key, this.#id, undefined);
  }

  /**
   * A completion whose answer was lost and that was repeated finds no such upload, or a store that does not know what to
   * say (500): it is done when the object has the ETag that our parts give (digest of their digests), and only then.
   */
  async #completedUnheard(error: unknown, sizeBytes: number, signal: AbortSignal | undefined) {
    if (!(error instanceof StoreError) || (error.failure !== 'absent' && error.failure !== 'broken')) return undefined;
    try {
      const found = await this.#head(this.#key, signal === undefined ? {} : { signal });
      return found?.sizeBytes === sizeBytes && found.etag === this.#expectedEtag() ? found : undefined;
    } catch {
      signal?.throwIfAborted();
      // What went wrong first tells more.
      return undefined;
    }
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
