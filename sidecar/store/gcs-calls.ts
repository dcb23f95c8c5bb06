// How every request to Google Cloud Storage is made: one place for the bucket, the login, attempts and errors.
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { StoreError } from '../../api/errors.ts';
import { factsOfAnswer, factsOfThrown, gcsError } from './gcs-errors.ts';
import { GcsLogin } from './gcs-login.ts';
import type { GcsSettings } from './gcs-settings.ts';
import { type HttpBody, StoreHttp } from './http.ts';

export type GcsRequest = {
  /** The verb of the JSON API, for messages: `objects.get`. */
  operation: string;
  key: string;
  method: string;
  /** Complete, or of the store (`/storage/v1/…`). */
  path: string | URL;
  query?: Record<string, string | undefined>;
  headers?: OutgoingHttpHeaders;
  /** Made anew for each attempt. */
  body?: (() => HttpBody) | undefined;
  /** Statuses beside 2xx that are answers and no failures. */
  alsoFine?: readonly number[];
  /** A session's address is its own login. */
  anonymous?: boolean;
  signal?: AbortSignal | undefined;
};

/** The answer to one attempt, or why there is none and how long the store wants to be left alone. */
export type GcsOutcome = { answer: IncomingMessage } | GcsFailure;
export type GcsFailure = { failure: StoreError; waitMs: number };

/** Attempts of one request, the first included. */
export const MAX_ATTEMPTS = 3;

const FIRST_WAIT_MS = 100;
/** A store that asks for more patience than that is an error that the caller may repeat. */
const LONGEST_WAIT_MS = 10_000;
/** For so long a bucket that was seen is taken to be there. */
const BUCKET_SEEN_MS = 10_000;

/** A bucket and how to talk to it. */
export class GcsCalls {
  readonly bucket: string;
  readonly kmsKeyName: string | undefined;
  readonly #endpoint: string;
  readonly #http: StoreHttp;
  readonly #login: GcsLogin;
  #bucketSeenAt = Number.NEGATIVE_INFINITY;

  constructor(settings: GcsSettings) {
    this.bucket = settings.bucket;
    this.kmsKeyName = settings.kmsKeyName;
    this.#endpoint = settings.endpoint;
    this.#http = new StoreHttp(settings);
    this.#login = new GcsLogin(settings, this.#http);
  }

  /** The path of an object; with an empty key that of all objects. */
  objectPath(key: string): string {
    const objects = `/storage/v1/b/${encodeURIComponent(this.bucket)}/o`;
    return key === '' ? objects : `${objects}/${encodeURIComponent(key)}`;
  }

  get uploadPath(): string {
    return `/upload/storage/v1/b/${encodeURIComponent(this.bucket)}/o`;
  }

  /**
   * Sends with up to three attempts, waiting as long as the store asks to between them. Throws StoreError or the signal's
   * reason.
   */
  async send(request: GcsRequest): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.once(request);
      if ('answer' in outcome) return outcome.answer;
      if (attempt === MAX_ATTEMPTS || !outcome.failure.retriable) throw outcome.failure;
      await pause(outcome, attempt, request.signal);
    }
  }

  /** One attempt, and another one with a new token when the store does not accept the old one any more. */
  async once(request: GcsRequest): Promise<GcsOutcome> {
    const outcome = await this.#attempt(request);
    if ('answer' in outcome || outcome.failure.status !== 401 || request.anonymous === true) return outcome;
    this.#login.renew();
    return this.#attempt(request);
  }

  /** The JSON of an answer. */
  async json(request: GcsRequest): Promise<Record<string, unknown>> {
    const answer = await this.send(request);
    try {
      return await jsonOf(answer);
    } catch (error) {
      request.signal?.throwIfAborted();
      throw this.failure(request, error);
    }
  }

  /** What to throw for something thrown while an answer is read. */
  failure(context: { operation: string; key: string }, thrown: unknown): StoreError {
    if (thrown instanceof StoreError) return thrown;
    return gcsError(factsOfThrown(thrown), this.context(context));
  }

  context({ operation, key }: { operation: string; key: string }): { operation: string; key: string } {
    return { operation, key: `${this.bucket}/${key}` };
  }

  /**
   * Says that a 404 means "no such object": throws `misconfigured` when it is the bucket that is missing. Asked by a
   * listing, because who may use objects often may not look at the bucket.
   */
  async confirmBucket(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#bucketSeenAt < BUCKET_SEEN_MS) return;
    const query = { maxResults: '1', fields: 'kind' };
    const request = { operation: 'objects.list', key: '', method: 'GET', path: this.objectPath(''), query, signal };
    const outcome = await this.once(request);
    if ('answer' in outcome) outcome.answer.resume();
    // A bucket that may not be listed is a bucket that is there.
    else if (outcome.failure.status !== 403) throw outcome.failure;
    this.#bucketSeenAt = performance.now();
  }

  close(): void {
    this.#http.close();
    this.#login.close();
  }

  #url({ path, query }: GcsRequest): URL {
    const url = new URL(path, this.#endpoint);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }

  async #attempt(request: GcsRequest): Promise<GcsOutcome> {
    const { signal } = request;
    signal?.throwIfAborted();
    try {
      const login = request.anonymous === true ? {} : await this.#login.headers(signal);
      const { method, headers, body } = request;
      const sent = { method, url: this.#url(request), headers: { ...headers, ...login }, body: body?.(), signal };
      const answer = await this.#http.request(sent);
      const status = answer.statusCode ?? 0;
      if ((status >= 200 && status < 300) || request.alsoFine?.includes(status) === true) return { answer };
      return await this.#refusal(request, status, answer);
    } catch (error) {
      signal?.throwIfAborted();
      return { failure: this.failure(request, error), waitMs: 0 };
    }
  }

  async #refusal(request: GcsRequest, status: number, answer: IncomingMessage): Promise<GcsOutcome> {
    const requestId = answer.headers['x-guploader-uploadid'];
    const facts = factsOfAnswer(status, await text(answer), typeof requestId === 'string' ? requestId : undefined);
    const waitMs = Math.min(Number(answer.headers['retry-after'] ?? 0) * 1000 || 0, LONGEST_WAIT_MS);
    return { failure: gcsError(facts, this.context(request)), waitMs };
  }
}

/** Waits before an attempt is repeated: as long as the store asks for, else a little longer each time. */
export async function pause({ waitMs }: { waitMs: number }, attempt: number, signal: AbortSignal | undefined) {
  const ms = Math.max(waitMs, Math.random() * FIRST_WAIT_MS * 2 ** attempt);
  await setTimeout(ms, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
}

/** The object in the body of an answer. */
export async function jsonOf(answer: IncomingMessage): Promise<Record<string, unknown>> {
  const value: unknown = JSON.parse(await text(answer));
  if (typeof value === 'object' && value !== null) return { ...value };
  throw new Error('the answer is not a JSON object');
}
