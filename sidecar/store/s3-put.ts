// One object in one request, conditional where the store can, verified before it counts.

import { pipeline } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { StoreError } from '../../api/errors.ts';
import { ExactLength } from './body.ts';
import { BodyDigests, digestWhileSending, type SentBytes } from './digests.ts';
import type { S3Calls } from './s3-calls.ts';
import { MAX_ATTEMPTS } from './s3-client.ts';
import type { PutAnswer, PutVerifier } from './s3-verify.ts';
import type { ObjectInfo, PutBody, PutOptions } from './store.ts';

/** Largest body that is sent twice to find out about conditions. */
const PROOF_LIMIT_BYTES = 32 * 1024 * 1024;
const FIRST_WAIT_MS = 100;

/** A put that the store has answered and that nothing has confirmed yet. */
type Answered = { answer: PutAnswer & { $metadata?: { attempts?: number } }; sent: SentBytes };

/**
 * Puts, and what is known about the store's conditions:
 *
 * | known   | put with `onlyIf`                                              | becomes                             |
 * |---------|----------------------------------------------------------------|-------------------------------------|
 * | yes     | header sent                                                    |                                     |
 * | no      | no header sent: the caller has looked first                    |                                     |
 * | unknown | header sent; 501: again without it                             | no                                  |
 * | unknown | stored, `absent` wanted: the same once more (the bytes are the | 412: yes; stored again: no (ignored |
 * |         | same, so nothing is lost when the header is ignored)           | silently, as s3rver and others do)  |
 */
export class S3Put {
  readonly #calls: S3Calls;
  readonly #verifier: PutVerifier;
  #known: boolean | 'unknown';
  #proving = false;

  constructor(calls: S3Calls, verifier: PutVerifier, conditionalPut: boolean | 'unknown') {
    this.#calls = calls;
    this.#verifier = verifier;
    this.#known = conditionalPut;
  }

  /** Whether conditions are known to be honoured. */
  get conditional(): boolean {
    return this.#known === true;
  }

  async put(key: string, body: PutBody, options: PutOptions): Promise<ObjectInfo> {
    if (options.onlyIf === undefined || this.#known === false) return this.#store(key, body, options, {});
    const condition = conditionOf(options.onlyIf);
    try {
      const info = await this.#store(key, body, options, condition);
      if (this.#known !== 'unknown' || options.onlyIf !== 'absent' || this.#proving) return info;
      return { ...((await this.#prove(key, body, options, condition)) ?? info), sentOnce: false };
    } catch (error) {
      if (this.#known !== 'unknown' || !(error instanceof StoreError) || error.status !== 501) throw error;
      const info = await this.#store(key, body, options, {});
      // Only now: a store answers 501 to other things too, such as encryption that it has not.
      this.#lacksConditions();
      return info;
    }
  }

  /** Puts the same again. Trouble leaves the question open: the object is stored already, unless it was stored again. */
  async #prove(key: string, body: PutBody, options: PutOptions, condition: Partial<PutObjectCommandInput>) {
    if (sizeOf(body) > PROOF_LIMIT_BYTES) return undefined;
    this.#proving = true;
    let again: Answered;
    try {
      again = await this.#send(key, body, options, condition);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof StoreError && error.failure === 'conflict') {
        this.#known = true;
        return undefined;
      }
      // It may have been stored again, and not all of it.
      return this.#verifier.confirmSize('PutObject', key, sizeOf(body), options.signal);
    } finally {
      this.#proving = false;
    }
    this.#lacksConditions();
    return this.#verifier.confirm(key, again.sent, again.answer, options.signal);
  }

  #lacksConditions(): void {
    this.#known = false;
    this.#calls.noteOnce('the store has no conditional puts: what is stored is looked at before each put instead');
  }

  async #store(key: string, body: PutBody, options: PutOptions, condition: Partial<PutObjectCommandInput>) {
    const { answer, sent } = await this.#send(key, body, options, condition);
    const info = await this.#verifier.confirm(key, sent, answer, options.signal);
    return { ...info, sentOnce: answer.$metadata?.attempts === 1 };
  }

  #send(key: string, body: PutBody, options: PutOptions, condition: Partial<PutObjectCommandInput>): Promise<Answered> {
    const input = { Bucket: this.#calls.bucket, Key: key, ...condition, ...attributesOf(options) };
    return body instanceof Uint8Array
      ? this.#sendBytes(key, body, input, options)
      : this.#sendStream(key, body, input, options);
  }

  async #sendBytes(
    key: string,
    body: Uint8Array,
    input: PutObjectCommandInput,
    options: PutOptions,
  ): Promise<Answered> {
    const request = new PutObjectCommand({ ...input, Body: body });
    const done = new AbortController();
    const digests = digestWhileSending(body, this.#verifier.wanted(options.encryption), done.signal);
    try {
      const answer = await this.#calls.send('PutObject', key, options.signal, (client, send) =>
        client.send(request, send),
      );
      return { answer, sent: await digests };
    } finally {
      done.abort();
    }
  }

  /** The SDK cannot repeat a stream: each of our attempts opens it anew. */
  async #sendStream(
    key: string,
    body: Exclude<PutBody, Uint8Array>,
    input: PutObjectCommandInput,
    options: PutOptions,
  ): Promise<Answered> {
    const { signal } = options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#sendStreamOnce(key, body, input, options);
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || !(error instanceof StoreError) || !error.retriable) throw error;
      }
      const wait = setTimeout(Math.random() * FIRST_WAIT_MS * 2 ** attempt, undefined, signal ? { signal } : {});
      await wait.catch(() => signal?.throwIfAborted());
    }
  }

  async #sendStreamOnce(
    key: string,
    body: Exclude<PutBody, Uint8Array>,
    input: PutObjectCommandInput,
    { signal, encryption }: PutOptions,
  ): Promise<Answered> {
    const stop = new AbortController();
    const signals = signal === undefined ? [stop.signal] : [signal, stop.signal];
    const digests = new BodyDigests(this.#verifier.wanted(encryption));
    const source = pipeline(body.stream(), new ExactLength(body.sizeBytes, digests), (error) => {
      if (error) stop.abort(error);
    });
    let answered = false;
    try {
      const request = new PutObjectCommand({ ...input, Body: source, ContentLength: body.sizeBytes });
      const halt = AbortSignal.any(signals);
      const answer = await this.#calls.send('PutObject', key, halt, (client, send) => client.send(request, send));
      const { sent } = digests;
      if (sent.sizeBytes !== body.sizeBytes) {
        const reason = `the store confirmed after ${sent.sizeBytes} of ${body.sizeBytes} bytes`;
        throw this.#verifier.mismatch('PutObject', key, reason);
      }
      answered = true;
      return { answer, sent };
    } finally {
      if (!answered) source.destroy();
    }
  }
}

/** Metadata, tags and encryption as the request wants them. */
export function attributesOf(options: Omit<PutOptions, 'onlyIf'>) {
  return {
    ...(options.metadata === undefined ? {} : { Metadata: options.metadata }),
    ...(options.tags === undefined || Object.keys(options.tags).length === 0
      ? {}
      : { Tagging: new URLSearchParams(options.tags).toString() }),
    ...(options.encryption === undefined ? {} : { ServerSideEncryption: options.encryption.algorithm }),
    ...(options.encryption?.kmsKeyId === undefined ? {} : { SSEKMSKeyId: options.encryption.kmsKeyId }),
  };
}

function conditionOf(onlyIf: NonNullable<PutOptions['onlyIf']>): Partial<PutObjectCommandInput> {
  return onlyIf === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: `"${onlyIf.etag}"` };
}

function sizeOf(body: PutBody): number {
  return body instanceof Uint8Array ? body.length : body.sizeBytes;
}
