// One object in one request, conditional, and verified before it counts.
import { pipeline } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { BlobRequestConditions, BlockBlobUploadOptions } from '@azure/storage-blob';
import { messageOf, StoreError } from '../../api/errors.ts';
import { type AzureCalls, MAX_ATTEMPTS, pause } from './azure-calls.ts';
import { ExactLength } from './body.ts';
import { BodyDigests, digestWhileSending, type SentBytes } from './digests.ts';
import type { ObjectInfo, PutBody, PutOptions } from './store.ts';

const OPERATION = 'PutBlob';
const MD5_ONLY = { md5: true, crc32: false };

type Answer = { etag?: string; contentMD5?: Uint8Array; lastModified?: Date };

/** Puts an object in one request; several attempts, each from the beginning. */
export async function putObject(
  calls: AzureCalls,
  key: string,
  body: PutBody,
  options: PutOptions,
): Promise<ObjectInfo> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const info = await (body instanceof Uint8Array
        ? putBytes(calls, key, body, options)
        : putStream(calls, key, body, options));
      return { ...info, sentOnce: attempt === 1 };
    } catch (error) {
      if (!(error instanceof StoreError) || !error.retriable || attempt === MAX_ATTEMPTS) throw error;
      await pause(error, attempt, options.signal);
    }
  }
}

/** What a new object is to be, beside its bytes; for all requests that make one. */
export function attributesOf(calls: AzureCalls, { metadata, tags, onlyIf }: PutOptions): BlockBlobUploadOptions {
  const { encryptionScope } = calls.settings;
  return {
    ...(metadata === undefined ? {} : { metadata: azureMetadata(metadata) }),
    ...(tags === undefined || Object.keys(tags).length === 0 ? {} : { tags }),
    ...(encryptionScope === undefined ? {} : { encryptionScope }),
    ...(onlyIf === undefined ? {} : { conditions: conditionsOf(onlyIf) }),
  };
}

/** Names of metadata are identifiers at Azure: our hyphens are underscores there. */
function azureMetadata(metadata: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name.replaceAll('-', '_'), value]));
}

/** The way back. */
export function ownMetadata(metadata: Record<string, string> | undefined): Record<string, string> {
  const entries = Object.entries(metadata ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase().replaceAll('_', '-'), value]));
}

export function unquoted(etag: string | undefined): string {
  return (etag ?? '').replace(/^"(.*)"$/, '$1');
}

async function putBytes(calls: AzureCalls, key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
  const done = new AbortController();
  const digests = digestWhileSending(bytes, MD5_ONLY, done.signal);
  try {
    const answer = await calls.once({ operation: OPERATION, key, signal: options.signal }, (send) =>
      calls.blob(key).upload(asBuffer(bytes), bytes.length, { ...attributesOf(calls, options), ...send }),
    );
    return await confirmed(calls, key, await digests, answer, options.signal);
  } finally {
    done.abort();
  }
}

async function putStream(
  calls: AzureCalls,
  key: string,
  body: Exclude<PutBody, Uint8Array>,
  options: PutOptions,
): Promise<ObjectInfo> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const digests = new BodyDigests(MD5_ONLY);
  const source = pipeline(body.stream(), new ExactLength(body.sizeBytes, digests), (error) => {
    if (error) stop.abort(error);
  });
  try {
    const where = { operation: OPERATION, key, signal };
    const answer = await calls.once(where, (send) =>
      calls.blob(key).upload(() => source, body.sizeBytes, { ...attributesOf(calls, options), ...send }),
    );
    if (digests.sent.sizeBytes !== body.sizeBytes) {
      const reason = `the store confirmed after ${digests.sent.sizeBytes} of ${body.sizeBytes} bytes`;
      throw calls.error('broken', OPERATION, key, reason);
    }
    return await confirmed(calls, key, digests.sent, answer, options.signal);
  } catch (error) {
    // An error of the source may be behind what the connection says.
    await setImmediate();
    signal.throwIfAborted();
    throw error;
  } finally {
    source.destroy();
  }
}

/**
 * Compares what the store tells of a new object with what was sent: its MD5, else its size. Other bytes are removed, but
 * only if they are still what this put has made; StoreError `broken`.
 */
async function confirmed(
  calls: AzureCalls,
  key: string,
  sent: SentBytes,
  { etag, contentMD5, lastModified = new Date() }: Answer,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo> {
  const md5 = contentMD5 === undefined ? undefined : Buffer.from(contentMD5).toString('hex');
  if (md5 === undefined) return confirmedSize(calls, OPERATION, key, sent.sizeBytes, signal);
  if (md5 === sent.md5) return { key, sizeBytes: sent.sizeBytes, etag: unquoted(etag), lastModified };
  const fate = await takeBack(calls, key, etag);
  const reason = `${sent.sizeBytes} bytes with MD5 ${sent.md5} were sent, but the store holds MD5 ${md5}: ${fate}`;
  throw calls.error('broken', OPERATION, key, reason);
}

/** What a HEAD tells of an object that must have a size. Throws StoreError `broken` when it has not. */
export async function confirmedSize(
  calls: AzureCalls,
  operation: string,
  key: string,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo> {
  const found = await calls.send({ operation: 'GetBlobProperties', key, signal }, (send) =>
    calls.blob(key).getProperties(send),
  );
  const { contentLength, lastModified = new Date(), etag, metadata } = found;
  if (contentLength === sizeBytes) {
    return { key, sizeBytes, etag: unquoted(etag), lastModified, metadata: ownMetadata(metadata) };
  }
  const reason = `${sizeBytes} bytes were sent and confirmed, but the store holds ${contentLength} bytes`;
  throw calls.error('broken', operation, key, reason);
}

function conditionsOf(onlyIf: NonNullable<PutOptions['onlyIf']>): BlobRequestConditions {
  return onlyIf === 'absent' ? { ifNoneMatch: '*' } : { ifMatch: `"${onlyIf.etag}"` };
}

async function takeBack(calls: AzureCalls, key: string, etag: string | undefined): Promise<string> {
  const conditions = etag === undefined ? {} : { conditions: { ifMatch: etag } };
  try {
    await calls.send({ operation: 'DeleteBlob', key, signal: undefined }, () => calls.blob(key).delete(conditions));
    return 'it was removed';
  } catch (error) {
    return `it could not be removed: ${messageOf(error)}`;
  }
}

/** The client takes Uint8Arrays for other things. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
