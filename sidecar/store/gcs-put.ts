// One object in one request, conditional, and verified before it counts.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { messageOf, StoreError } from '../../api/errors.ts';
import { createCrc32c, digestOf, exactly } from './gcs-body.ts';
import { type GcsCalls, type GcsFailure, jsonOf, MAX_ATTEMPTS, pause } from './gcs-calls.ts';
import { type GcsObject, gcsObject, OBJECT_FIELDS } from './gcs-object.ts';
import type { ObjectInfo, PutBody, PutOptions } from './store.ts';

/** What an object is to be, beside its bytes. */
export type GcsAttributes = Pick<PutOptions, 'metadata' | 'tags'>;

const OPERATION = 'objects.insert';
const TYPE = 'application/octet-stream';

/**
 * Puts an object. The digest of whole bytes goes with them, and the store refuses others; a stream's is compared with
 * the answer, and what is wrong is removed. Several attempts, each from the beginning.
 */
export async function putObject(calls: GcsCalls, key: string, body: PutBody, options: PutOptions): Promise<ObjectInfo> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await (body instanceof Uint8Array
      ? putBytes(calls, key, body, options)
      : putStream(calls, key, body, options));
    if ('info' in outcome) return { ...outcome.info, sentOnce: attempt === 1 };
    if (attempt === MAX_ATTEMPTS || !outcome.failure.retriable) throw outcome.failure;
    await pause(outcome, attempt, options.signal);
  }
}

/** Query of a request that makes an object. Tags are custom metadata here (object-store-layout.md §2.4). */
export function insertQuery({ kmsKeyName }: GcsCalls, key: string, onlyIf?: PutOptions['onlyIf']) {
  const generation = onlyIf === undefined ? undefined : onlyIf === 'absent' ? '0' : onlyIf.etag;
  return { name: key, kmsKeyName, ifGenerationMatch: generation, fields: OBJECT_FIELDS };
}

/** Its resource, as JSON. What we need to know of an object counts more than a tag of the same name. */
export function resourceOf(key: string, { metadata, tags }: GcsAttributes, crc32c?: string): string {
  const custom = { ...tags, ...metadata };
  return JSON.stringify({
    name: key,
    contentType: TYPE,
    ...(crc32c === undefined ? {} : { crc32c }),
    ...(Object.keys(custom).length === 0 ? {} : { metadata: custom }),
  });
}

/**
 * Compares what the store tells of a new object with what was sent. Other bytes are removed, but only that generation of
 * the object; StoreError `broken`.
 */
export async function confirmed(
  calls: GcsCalls,
  operation: string,
  { info, crc32c }: GcsObject,
  sent: { sizeBytes: number; crc32c: string },
): Promise<ObjectInfo> {
  const isSame = crc32c === undefined || crc32c === sent.crc32c;
  if (info.sizeBytes === sent.sizeBytes && isSame) return info;
  const holds = `${info.sizeBytes} bytes with CRC-32C ${crc32c}`;
  const fate = await takeBack(calls, info);
  const reason = `${sent.sizeBytes} bytes with CRC-32C ${sent.crc32c} were sent, but the store holds ${holds}: ${fate}`;
  throw new StoreError({ failure: 'broken', provider: 'gcs', ...calls.context({ operation, key: info.key }), reason });
}

type PutOutcome = { info: ObjectInfo } | GcsFailure;

async function putBytes(calls: GcsCalls, key: string, bytes: Uint8Array, options: PutOptions): Promise<PutOutcome> {
  const crc32c = await digestOf(bytes);
  const frame = frameOf(resourceOf(key, options, crc32c));
  const outcome = await send(calls, key, frame, bytes.length, options, () => [frame.head, bytes, frame.tail]);
  if ('failure' in outcome) return outcome;
  return { info: await confirmed(calls, OPERATION, outcome.object, { sizeBytes: bytes.length, crc32c }) };
}

async function putStream(
  calls: GcsCalls,
  key: string,
  { stream, sizeBytes }: Exclude<PutBody, Uint8Array>,
  options: PutOptions,
): Promise<PutOutcome> {
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const digest = await createCrc32c();
  const frame = frameOf(resourceOf(key, options));
  async function* framed() {
    yield frame.head;
    yield* exactly(stream(), sizeBytes, digest, (error) => stop.abort(error));
    yield frame.tail;
  }
  const body = () => Readable.from(framed(), { objectMode: false });
  const outcome = await send(calls, key, frame, sizeBytes, { ...options, signal }, body);
  if ('failure' in outcome) {
    // An error of the source may be behind what the connection says.
    await setImmediate();
    signal.throwIfAborted();
    return outcome;
  }
  return { info: await confirmed(calls, OPERATION, outcome.object, { sizeBytes, crc32c: digest.base64 }) };
}

async function send(
  calls: GcsCalls,
  key: string,
  frame: Frame,
  sizeBytes: number,
  { onlyIf, signal }: PutOptions,
  body: () => Uint8Array[] | Readable,
): Promise<{ object: GcsObject } | GcsFailure> {
  const request = {
    operation: OPERATION,
    key,
    method: 'POST',
    path: calls.uploadPath,
    query: { uploadType: 'multipart', ...insertQuery(calls, key, onlyIf) },
    headers: {
      'content-type': `multipart/related; boundary=${frame.boundary}`,
      'content-length': frame.head.length + sizeBytes + frame.tail.length,
    },
    body,
    signal,
  };
  const outcome = await calls.once(request);
  if ('failure' in outcome) return outcome;
  try {
    return { object: gcsObject(await jsonOf(outcome.answer)) };
  } catch (error) {
    signal?.throwIfAborted();
    return { failure: calls.failure(request, error), waitMs: 0 };
  }
}

type Frame = { boundary: string; head: Buffer; tail: Buffer };

/** What goes before and after the bytes of an object, so that its resource and they are one request. */
function frameOf(resource: string): Frame {
  const boundary = `cellar-${randomBytes(16).toString('hex')}`;
  const json = `--${boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n${resource}\r\n`;
  const head = Buffer.from(`${json}--${boundary}\r\ncontent-type: ${TYPE}\r\n\r\n`);
  return { boundary, head, tail: Buffer.from(`\r\n--${boundary}--\r\n`) };
}

async function takeBack(calls: GcsCalls, { key, etag }: ObjectInfo): Promise<string> {
  const query = { generation: etag, ifGenerationMatch: etag };
  const request = { operation: 'objects.delete', key, method: 'DELETE', path: calls.objectPath(key), query };
  try {
    (await calls.send(request)).resume();
    return 'it was removed';
  } catch (error) {
    return `it could not be removed: ${messageOf(error)}`;
  }
}
