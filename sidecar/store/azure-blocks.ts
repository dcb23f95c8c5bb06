// Objects in blocks: sent in any order, visible only when the list of them is committed.
import type { AzureCalls } from './azure-calls.ts';
import { asBuffer, attributesOf, confirmedSize } from './azure-put.ts';
import { digestWhileSending } from './digests.ts';
import type { MultipartUpload, ObjectInfo, PutOptions } from './store.ts';

const MD5_ONLY = { md5: true, crc32: false };

/**
 * Begins an object in blocks. Nothing is asked of the store: blocks belong to a key, not to an upload. The store drops
 * those that nobody commits a week after the last one, or when the key is written.
 */
export function beginBlocks(calls: AzureCalls, key: string, options: PutOptions): AzureBlocks {
  return new AzureBlocks(calls, key, options);
}

/** Whole bytes in blocks, several at a time. */
export async function putInBlocks(
  calls: AzureCalls,
  key: string,
  bytes: Uint8Array,
  options: PutOptions,
): Promise<ObjectInfo> {
  const { maxBlockBytes, maxConcurrency } = calls.settings;
  const blocks = beginBlocks(calls, key, options);
  const count = Math.ceil(bytes.length / maxBlockBytes);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  let next = 0;
  const sender = async () => {
    try {
      while (next < count) {
        const from = next * maxBlockBytes;
        next += 1;
        await blocks.part(next, bytes.subarray(from, from + maxBlockBytes), { signal });
      }
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  await Promise.allSettled(Array.from({ length: Math.min(count, maxConcurrency) }, sender));
  signal.throwIfAborted();
  return blocks.complete(options.signal === undefined ? {} : { signal: options.signal });
}

class AzureBlocks implements MultipartUpload {
  readonly #calls: AzureCalls;
  readonly #key: string;
  readonly #options: PutOptions;
  readonly #sizes = new Map<number, number>();
  #aborted = false;

  constructor(calls: AzureCalls, key: string, options: PutOptions) {
    this.#calls = calls;
    this.#key = key;
    this.#options = options;
  }

  /** With its MD5, which the store compares itself. */
  async part(number: number, bytes: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const where = { operation: 'PutBlock', key: this.#key, signal };
    this.#refuseAborted(where.operation);
    const { md5 = '' } = await digestWhileSending(bytes, MD5_ONLY, new AbortController().signal);
    const { encryptionScope } = this.#calls.settings;
    const options = {
      transactionalContentMD5: Buffer.from(md5, 'hex'),
      ...(encryptionScope === undefined ? {} : { encryptionScope }),
    };
    const blob = this.#calls.blob(this.#key);
    await this.#calls.send(where, (send) =>
      blob.stageBlock(blockId(number), asBuffer(bytes), bytes.length, { ...options, ...send }),
    );
    this.#sizes.set(number, bytes.length);
  }

  /** Repeated without harm: a list that is committed already is committed again. */
  async complete({ signal }: { signal?: AbortSignal } = {}): Promise<ObjectInfo> {
    const where = { operation: 'PutBlockList', key: this.#key, signal };
    this.#refuseAborted(where.operation);
    const numbers = [...this.#sizes.keys()].sort((a, b) => a - b);
    const blob = this.#calls.blob(this.#key);
    await this.#calls.send(where, (send) =>
      blob.commitBlockList(numbers.map(blockId), { ...attributesOf(this.#calls, this.#options), ...send }),
    );
    const sizeBytes = [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
    return confirmedSize(this.#calls, where.operation, this.#key, sizeBytes, signal);
  }

  /** Azure has no request for it: blocks that are not committed are nowhere to be seen, and go by themselves. */
  async abort(): Promise<void> {
    this.#aborted = true;
  }

  #refuseAborted(operation: string): void {
    if (this.#aborted) throw this.#calls.error('absent', operation, this.#key, 'the upload was given up');
  }
}

/** All of one key must have one length; these are barman's (object-store-layout.md §5.5), so that its leftovers fit. */
function blockId(number: number): string {
  return Buffer.from(String(number).padStart(5, '0')).toString('base64');
}
