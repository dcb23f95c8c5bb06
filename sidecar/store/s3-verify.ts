// Whether the store holds what was sent: believed for a reason, never because it said 200.
import { pipeline } from 'node:stream/promises';
import { messageOf, StoreError } from '../../api/errors.ts';
import { BodyDigests, type SentBytes, type WantedDigests } from './digests.ts';
import type { S3Calls } from './s3-calls.ts';
import { withGrace } from './s3-grace.ts';
import { PartChecksums } from './s3-part-checksums.ts';
import type { ObjectInfo, ObjectStorage, PutOptions } from './store.ts';

/** What the store answered to a put or to a part, as far as it tells of the content. */
export type PutAnswer = {
  ETag?: string | undefined;
  ChecksumCRC32?: string | undefined;
  ServerSideEncryption?: string | undefined;
};

type Reads = Pick<ObjectStorage, 'head' | 'get' | 'delete'>;
type Witness = { by: 'MD5' | 'CRC-32' | 'nothing'; same: boolean };

/**
 * Compares answers with what was sent, and learns whether the ETags of this store are MD5s. AWS says that they are for
 * everything but KMS; its kin mostly do the same, a few make ETags of their own that look alike.
 *
 * | ETag of 32 digits, no KMS | ETags are MD5s | MD5 is    | then                                       | ETags are MD5s |
 * |---------------------------|----------------|-----------|--------------------------------------------|----------------|
 * | yes                       | unknown or yes | the same  | confirmed                                  | yes            |
 * | yes                       | unknown or yes | different | read back: the same bytes: confirmed       | no             |
 * |                           |                |           | read back: others: taken back, broken      |                |
 * | yes                       | no             |           | as without such an ETag                    |                |
 * | no                        | any            |           | returned CRC-32: the same: confirmed,      |                |
 * |                           |                |           | different: read back as above              |                |
 * | no, and no CRC-32         | any            |           | HEAD: the same size: confirmed; or: broken |                |
 *
 * Bytes decide, even where a mismatch looks certain: a store may change its ways while we run (a bucket gets a KMS key),
 * and archiving must not stop for it. What is shown to be wrong is removed, because its metadata would otherwise vouch for
 * it when the put is repeated.
 */
export class PutVerifier {
  readonly #calls: S3Calls;
  readonly #reads: Reads;
  readonly #asksForChecksums: boolean;
  #etagsAreMd5: boolean | 'unknown' = 'unknown';
  /** How parts are known by what was sent. */
  readonly parts: PartChecksums;

  constructor(calls: S3Calls, reads: Reads, asksForChecksums: boolean) {
    this.#calls = calls;
    this.#reads = reads;
    this.#asksForChecksums = asksForChecksums;
    this.parts = new PartChecksums(() =>
      calls.noteOnce('the store answers no checksums of parts: they are known by MD5'),
    );
  }

  /** Digests to take of a body. */
  wanted(encryption: PutOptions['encryption']): WantedDigests {
    const md5 = this.#etagsAreMd5 !== false && encryption?.algorithm !== 'aws:kms';
    return { md5, crc32: this.#asksForChecksums };
  }

  /** What is stored under the key; its size is one that was shown. Throws StoreError `broken` for anything else. */
  async confirm(key: string, sent: SentBytes, answer: PutAnswer, signal: AbortSignal | undefined): Promise<ObjectInfo> {
    const etag = unquoted(answer.ETag);
    const witness = this.#witness(sent, answer);
    if (witness.by === 'nothing') return this.confirmSize('PutObject', key, sent.sizeBytes, signal);
    if (!witness.same) {
      await this.#settle(key, sent, etag, signal);
      if (witness.by === 'MD5') this.#etagsAreMd5 = false;
    }
    return { key, sizeBytes: sent.sizeBytes, etag, lastModified: new Date() };
  }

  /**
   * Whether a part may stand. One cannot be read back: a mismatch counts only where ETags are known to be MD5s or a
   * checksum was returned, and the size of the whole is compared in the end.
   */
  acceptsPart(sent: SentBytes, answer: PutAnswer): boolean {
    const witness = this.#witness(sent, answer);
    return witness.by === 'nothing' || witness.same || (witness.by === 'MD5' && this.#etagsAreMd5 !== true);
  }

  /** What a HEAD tells of an object that must have a size. Throws StoreError `broken` when it has not. */
  async confirmSize(
    operation: string,
    key: string,
    sizeBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<ObjectInfo> {
    const found = await this.#reads.head(key, signal === undefined ? {} : { signal });
    if (found?.sizeBytes === sizeBytes) return found;
    const holds = found === undefined ? 'nothing' : `${found.sizeBytes} bytes`;
    throw this.mismatch(operation, key, `${sizeBytes} bytes were sent and confirmed, but the store holds ${holds}`);
  }

  mismatch(operation: string, key: string, reason: string): StoreError {
    const facts = { provider: 's3', operation, key: `${this.#calls.bucket}/${key}`, reason };
    return new StoreError({ failure: 'broken', ...facts });
  }

  #witness(sent: SentBytes, answer: PutAnswer): Witness {
    const etag = unquoted(answer.ETag).toLowerCase();
    const encrypted = answer.ServerSideEncryption?.startsWith('aws:kms') ?? false;
    if (sent.md5 !== undefined && !encrypted && this.#etagsAreMd5 !== false && /^[0-9a-f]{32}$/.test(etag)) {
      const same = sent.md5 === etag;
      if (same) this.#etagsAreMd5 = true;
      return { by: 'MD5', same };
    }
    const checksum = answer.ChecksumCRC32;
    if (sent.crc32 !== undefined && checksum !== undefined) return { by: 'CRC-32', same: sent.crc32 === checksum };
    return { by: 'nothing', same: false };
  }

  /** Not cut off at once: who repeats the put must not find something wrong there. */
  async #settle(key: string, sent: SentBytes, etag: string, signal: AbortSignal | undefined): Promise<void> {
    const late = withGrace(signal);
    try {
      await this.#readBack(key, sent, etag, late.signal);
    } finally {
      late.release();
      signal?.throwIfAborted();
    }
  }

  async #readBack(key: string, sent: SentBytes, etag: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#reads.get(key, { signal });
    if (answer === undefined) {
      throw this.mismatch('PutObject', key, `${describe(sent)} were confirmed (ETag ${etag}), but nothing is stored`);
    }
    const digests = new BodyDigests({ md5: sent.md5 !== undefined, crc32: sent.crc32 !== undefined });
    await pipeline(answer.body, async (body: AsyncIterable<Buffer>) => {
      for await (const chunk of body) digests.update(chunk);
    });
    const held = digests.sent;
    if (held.sizeBytes === sent.sizeBytes && held.md5 === sent.md5 && held.crc32 === sent.crc32) return;
    // Another ETag than the one that was answered may be another writer's object.
    const fate = answer.info.etag === etag ? await this.#takeBack(key, signal) : 'it was left there';
    throw this.mismatch(
      'PutObject',
      key,
      `${describe(sent)} were sent, but the store holds ${describe(held)}: ${fate}`,
    );
  }

  async #takeBack(key: string, signal: AbortSignal): Promise<string> {
    try {
      const [failed] = await this.#reads.delete([key], { signal });
      return failed === undefined ? 'it was removed' : `it could not be removed: ${failed.reason}`;
    } catch (error) {
      return `it could not be removed: ${messageOf(error)}`;
    }
  }
}

/** ETags without their quotes: stores and verbs differ in writing them. */
export function unquoted(etag: string | undefined): string {
  return (etag ?? '').replace(/^"(.*)"$/, '$1');
}

function describe({ sizeBytes, md5, crc32 }: SentBytes): string {
  const digest = md5 === undefined ? `CRC-32 ${crc32}` : `MD5 ${md5}`;
  return `${sizeBytes} bytes with ${digest}`;
}
