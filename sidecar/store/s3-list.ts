// Listing and deleting, with the ways around stores that do either badly.
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { deleteSingly } from './delete-singly.ts';
import type { S3Calls } from './s3-calls.ts';
import { S3Error } from './s3-errors.ts';
import { unquoted } from './s3-verify.ts';
import type { ObjectInfo, StoreDeleteFailure } from './store.ts';

const DELETE_BATCH = 1000;
const SINGLE_DELETES_AT_ONCE = 8;
/** Answers of stores that have no batch delete, or none with the checksum header that the SDK sends. */
const NO_BATCH_DELETE = /^(NotImplemented|MissingContentMD5|MalformedXML|MethodNotAllowed|InvalidRequest)/;

type ListOptions = { signal?: AbortSignal; startAfter?: string };

/** Objects below a prefix in key order. */
export async function* listObjects(calls: S3Calls, prefix: string, options: ListOptions): AsyncIterable<ObjectInfo> {
  for await (const page of pages(calls, prefix, undefined, options)) {
    for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
      if (Key === undefined) continue;
      yield { key: Key, sizeBytes: Size ?? 0, etag: unquoted(ETag), lastModified: LastModified ?? new Date(0) };
    }
  }
}

/** Folders one level below a prefix. */
export async function* listFolders(calls: S3Calls, prefix: string, options: ListOptions): AsyncIterable<string> {
  for await (const page of pages(calls, prefix, '/', options)) {
    for (const { Prefix } of page.CommonPrefixes ?? []) if (Prefix !== undefined) yield Prefix;
  }
}

/**
 * Pages of a listing. A store that says "truncated" without a token is asked on from the last key it named; one that
 * gives the same page again is reported instead of being asked for ever.
 */
async function* pages(
  calls: S3Calls,
  prefix: string,
  delimiter: string | undefined,
  options: ListOptions,
): AsyncIterable<ListObjectsV2CommandOutput> {
  let token: string | undefined;
  let startAfter = options.startAfter;
  let last = '';
  for (;;) {
    const request = new ListObjectsV2Command({
      Bucket: calls.bucket,
      Prefix: prefix,
      Delimiter: delimiter,
      ...(token === undefined ? { StartAfter: startAfter } : { ContinuationToken: token }),
    });
    const page = await calls.send('ListObjectsV2', prefix, options.signal, (client, send) =>
      client.send(request, send),
    );
    const end = lastOf(page);
    const advances = compareKeys(end, last) > 0;
    if (advances || page.IsTruncated !== true) yield page;
    if (page.IsTruncated !== true) return;
    const isEmptyPage = end === '' && page.NextContinuationToken !== undefined && page.NextContinuationToken !== token;
    if (!advances && !isEmptyPage) throw stuck(calls, prefix, last);
    token = page.NextContinuationToken;
    if (isEmptyPage) continue;
    if (token === undefined)
      calls.noteOnce('the store gives no token for the next page: listings go on after the last key');
    last = end;
    startAfter = end;
  }
}

function lastOf(page: ListObjectsV2CommandOutput): string {
  const key = page.Contents?.at(-1)?.Key ?? '';
  // Everything inside a folder sorts before the last code point.
  const folder = page.CommonPrefixes?.at(-1)?.Prefix;
  const beyondFolder = folder === undefined ? '' : `${folder}\u{10ffff}`;
  return compareKeys(key, beyondFolder) > 0 ? key : beyondFolder;
}

/** Stores sort by bytes of UTF-8, strings compare by UTF-16. */
function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function stuck(calls: S3Calls, prefix: string, last: string): StoreError {
  return new StoreError({
    failure: 'broken',
    provider: 's3',
    operation: 'ListObjectsV2',
    key: `${calls.bucket}/${prefix}`,
    reason: `the store says that the listing goes on after ${JSON.stringify(last)} but gives nothing new`,
  });
}

/** Deletes in batches, or one by one where the store has no batches; remembers which. */
export class S3Delete {
  readonly #calls: S3Calls;
  #batches = true;

  constructor(calls: S3Calls) {
    this.#calls = calls;
  }

  async delete(keys: readonly string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[]> {
    const failures: StoreDeleteFailure[] = [];
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      const batch = keys.slice(from, from + DELETE_BATCH);
      failures.push(...((await this.#deleteBatch(batch, signal)) ?? (await this.#deleteSingly(batch, signal))));
    }
    return failures;
  }

  /** undefined when the store has no batch delete. */
  async #deleteBatch(keys: string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[] | undefined> {
    if (!this.#batches) return undefined;
    const request = new DeleteObjectsCommand({
      Bucket: this.#calls.bucket,
      Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
    });
    try {
      const where = keys.length === 1 ? (keys[0] ?? '') : `(${keys.length} objects)`;
      const answer = await this.#calls.send('DeleteObjects', where, signal, (client, send) =>
        client.send(request, send),
      );
      return (answer.Errors ?? [])
        .filter((error) => error.Code !== 'NoSuchKey')
        .map(({ Key, Code, Message }) => ({ key: Key ?? '', reason: [Code, Message].filter(Boolean).join(': ') }));
    } catch (error) {
      if (!(error instanceof S3Error) || !lacksBatchDelete(error)) throw error;
      this.#batches = false;
      this.#calls.noteOnce('the store deletes no batches: objects are deleted one by one');
      return undefined;
    }
  }

  #deleteSingly(keys: readonly string[], signal: AbortSignal | undefined): Promise<StoreDeleteFailure[]> {
    return deleteSingly(keys, SINGLE_DELETES_AT_ONCE, (key) =>
      this.#calls.send('DeleteObject', key, signal, (client, send) =>
        client.send(new DeleteObjectCommand({ Bucket: this.#calls.bucket, Key: key }), send),
      ),
    );
  }
}

function lacksBatchDelete(error: S3Error): boolean {
  return error.status === 501 || error.status === 405 || NO_BATCH_DELETE.test(error.code);
}
