// Objects of unknown length: one resumable session each. The bytes of a session go to the object itself, which appears
// when they are whole: there are no pieces that could be left behind, or be paid for after their deletion (soft delete,
// early deletion), as with composite uploads; and the object has an MD5, as what the barman tools write. The price: the
// store takes bytes in their order only.
import { StoreError } from '../../api/errors.ts';
import { type Crc32c, createCrc32c } from './gcs-body.ts';
import { type GcsCalls, type GcsFailure, type GcsRequest, jsonOf, MAX_ATTEMPTS, pause } from './gcs-calls.ts';
import { type GcsObject, gcsObject } from './gcs-object.ts';
import { confirmed, type GcsAttributes, insertQuery, resourceOf } from './gcs-put.ts';
import type { MultipartUpload, ObjectInfo } from './store.ts';

/** What is sent before the end must be a multiple of this. */
export const CHUNK_UNIT_BYTES = 256 * 1024;

const OPERATION = 'objects.insert';
/** The store knows the session no more: it was cancelled, is a week old, or was lost. */
const GONE: readonly number[] = [404, 410];
const CANCELLED = 499;
const GOES_ON = 308;

/** What a session has come to: so many bytes are in it, it is an object, or nobody knows. */
type Step = { held: number } | { object: GcsObject } | GcsFailure;

/** Begins a session. One that nobody ends is forgotten by the store after a week and costs nothing. */
export async function beginResumable(
  calls: GcsCalls,
  key: string,
  attributes: GcsAttributes,
  signal: AbortSignal | undefined,
): Promise<MultipartUpload> {
  const resource = Buffer.from(resourceOf(key, attributes));
  const request = {
    operation: OPERATION,
    key,
    method: 'POST',
    path: calls.uploadPath,
    query: { uploadType: 'resumable', ...insertQuery(calls, key) },
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'content-length': resource.length,
      'x-upload-content-type': 'application/octet-stream',
    },
    body: () => [resource],
    signal,
  };
  const digest = await createCrc32c();
  const answer = await calls.send(request);
  answer.resume();
  const { location } = answer.headers;
  if (location === undefined) throw calls.failure(request, new Error('the answer names no session'));
  return new ResumableUpload(calls, key, new URL(location), digest);
}

/**
 * | where the bytes are | from            | to              |
 * |---------------------|-----------------|-----------------|
 * | in the object       | 0               | `#sent`         |
 * | held here           | `#sent`         | + `#held`       |
 * | with the caller     | the part that is being sent, and those that wait for it |
 *
 * At least one byte is held back, because the end of an object is told together with its last bytes.
 */
class ResumableUpload implements MultipartUpload {
  readonly #calls: GcsCalls;
  readonly #key: string;
  readonly #session: URL;
  readonly #digest: Crc32c;
  readonly #waiting = new Map<number, () => void>();
  readonly #over = new AbortController();
  #next = 1;
  #sent = 0;
  #held: Uint8Array = new Uint8Array();

  constructor(calls: GcsCalls, key: string, session: URL, digest: Crc32c) {
    this.#digest = digest;
    this.#calls = calls;
    this.#key = key;
    this.#session = session;
  }

  /** Waits for the parts before it. */
  async part(number: number, bytes: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<void> {
    const signal = this.#signalWith(options.signal);
    await this.#turnOf(number, signal);
    const wholeBytes = this.#held.length + bytes.length;
    const sendable = Math.max(0, Math.ceil(wholeBytes / CHUNK_UNIT_BYTES) - 1) * CHUNK_UNIT_BYTES;
    await this.#sendChunk([this.#held, bytes], sendable, signal);
    this.#held = Buffer.concat(cut([this.#held, bytes], sendable, wholeBytes));
    this.#sent += sendable;
    this.#digest.update(bytes);
    this.#next += 1;
    this.#waiting.get(this.#next)?.();
  }

  async complete(options: { signal?: AbortSignal } = {}): Promise<ObjectInfo> {
    const signal = this.#signalWith(options.signal);
    const { sizeBytes, base64: crc32c } = this.#digest;
    const end = await this.#repeated([this.#held], this.#held.length, sizeBytes, signal);
    if ('held' in end) throw this.#failed(`the store holds ${end.held} of ${sizeBytes} bytes and says no more`);
    return confirmed(this.#calls, OPERATION, end.object, { sizeBytes, crc32c });
  }

  async abort(): Promise<void> {
    if (this.#over.signal.aborted) return;
    this.#over.abort(this.#failed('the upload was aborted', 'absent'));
    const fine = [...GONE, CANCELLED];
    const answer = await this.#calls.send({
      ...this.#request('DELETE'),
      headers: { 'content-length': 0 },
      alsoFine: fine,
    });
    answer.resume();
  }

  /** Settles when all parts before it are in. */
  async #turnOf(number: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (number === this.#next) return;
    if (number < this.#next) throw this.#failed(`part ${number} was sent before`, 'refused');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const halt = () => reject(signal.reason);
    this.#waiting.set(number, resolve);
    signal.addEventListener('abort', halt, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', halt);
      this.#waiting.delete(number);
    }
  }

  async #sendChunk(pieces: Uint8Array[], sizeBytes: number, signal: AbortSignal): Promise<void> {
    if (sizeBytes === 0) return;
    const end = await this.#repeated(pieces, sizeBytes, undefined, signal);
    if ('object' in end) throw this.#failed('the store ended the object before its end');
    if (end.held !== this.#sent + sizeBytes) throw this.#failed('the store keeps nothing of what it is sent');
  }

  /** Sends until the store has all of it, going on from what it has. `total`: they are the last. Throws StoreError. */
  async #repeated(
    pieces: Uint8Array[],
    sizeBytes: number,
    total: number | undefined,
    signal: AbortSignal,
  ): Promise<Exclude<Step, GcsFailure>> {
    let from = 0;
    for (let attempt = 1; ; attempt += 1) {
      let step = await this.#put(pieces, from, sizeBytes, total, signal);
      if ('failure' in step) {
        if (attempt === MAX_ATTEMPTS || !step.failure.retriable) throw step.failure;
        await pause(step, attempt, signal);
        step = await this.#ask(total, signal);
        if ('failure' in step) continue;
      }
      if ('object' in step || step.held === this.#sent + sizeBytes) return step;
      const advanced = step.held - this.#sent > from;
      if (attempt === MAX_ATTEMPTS && !advanced) return step;
      // A store may keep a part of what it is sent: that is progress, however often.
      if (advanced) attempt = 0;
      from = step.held - this.#sent;
    }
  }

  #put(
    pieces: Uint8Array[],
    from: number,
    sizeBytes: number,
    total: number | undefined,
    signal: AbortSignal,
  ): Promise<Step> {
    const first = this.#sent + from;
    const last = this.#sent + sizeBytes - 1;
    const range = last < first ? '*' : `${first}-${last}`;
    const headers = { 'content-length': last - first + 1, 'content-range': `bytes ${range}/${total ?? '*'}` };
    return this.#step({ ...this.#request('PUT'), headers, body: () => cut(pieces, from, sizeBytes), signal });
  }

  #ask(total: number | undefined, signal: AbortSignal): Promise<Step> {
    const headers = { 'content-length': 0, 'content-range': `bytes */${total ?? '*'}` };
    return this.#step({ ...this.#request('PUT'), headers, signal });
  }

  async #step(request: GcsRequest): Promise<Step> {
    const outcome = await this.#calls.once(request);
    if ('failure' in outcome) {
      if (!GONE.includes(outcome.failure.status ?? 0)) return outcome;
      throw this.#failed('the store knows the upload no more: it must begin anew', 'absent');
    }
    const { answer } = outcome;
    if (answer.statusCode === GOES_ON) {
      answer.resume();
      return { held: this.#heldBy(answer.headers.range) };
    }
    try {
      return { object: gcsObject(await jsonOf(answer)) };
    } catch (error) {
      request.signal?.throwIfAborted();
      return { failure: this.#calls.failure(request, error), waitMs: 0 };
    }
  }

  /** How many bytes the store has: `bytes=0-1048575`, or nothing at all. */
  #heldBy(range: string | undefined): number {
    const last = /^(?:bytes[= ])?0-(\d+)$/.exec(range ?? '')?.[1];
    const held = last === undefined ? 0 : Number(last) + 1;
    if (held >= this.#sent) return held;
    throw this.#failed(`the store has lost bytes that it had confirmed: ${held} of ${this.#sent} are left`, 'absent');
  }

  #request(method: string): Omit<GcsRequest, 'signal'> {
    const session = { operation: OPERATION, key: this.#key, path: this.#session };
    return { ...session, method, anonymous: true, alsoFine: [GOES_ON] };
  }

  #failed(reason: string, failure: 'absent' | 'broken' | 'refused' = 'broken'): StoreError {
    const where = this.#calls.context({ operation: OPERATION, key: this.#key });
    return new StoreError({ failure, provider: 'gcs', ...where, reason });
  }

  #signalWith(signal: AbortSignal | undefined): AbortSignal {
    return signal === undefined ? this.#over.signal : AbortSignal.any([signal, this.#over.signal]);
  }
}

/** Bytes `from` to `end` of pieces that follow each other, without a copy. */
function cut(pieces: readonly Uint8Array[], from: number, end: number): Uint8Array[] {
  let start = 0;
  return pieces.flatMap((piece) => {
    const within = piece.subarray(Math.max(0, from - start), Math.max(0, end - start));
    start += piece.length;
    return within.length === 0 ? [] : [within];
  });
}
