import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { StoreError } from '../../api/errors.ts';
import type { MultipartUpload, ObjectInfo, ObjectStorage } from '../store/store.ts';
import { uploadStream } from './parts.ts';

const PART = 1_000;

for (const size of [0, 1, PART - 1, PART, PART + 1, 5 * PART, 5 * PART + 7]) {
  test(`uploads ${size} bytes as they are, in parts of ${PART}`, async () => {
    const store = new FakeStore();
    const bytes = randomBytes(size);
    const source = Readable.from(cut(bytes, 333), { objectMode: false });
    const info = await uploadStream(store.storage, 'k', source, { partBytes: PART, parallel: 2, sha256: true });
    assert.deepEqual(store.objects.get('k'), bytes);
    assert.equal(info.sizeBytes, size);
    assert.equal(info.sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.equal(store.puts, size <= PART ? 1 : 0);
    assert.deepEqual(store.partSizes(), size <= PART ? [] : sizesOf(size));
  });
}

test('never has more parts in flight than it may', async () => {
  const store = new FakeStore();
  const source = Readable.from(cut(randomBytes(40 * PART), 5 * PART), { objectMode: false });
  await uploadStream(store.storage, 'k', source, { partBytes: PART, parallel: 3 });
  assert.equal(store.mostInFlight, 3);
});

test('stops siblings and source and aborts the upload when a part fails, and throws its error', async () => {
  const store = new FakeStore();
  const failure = new StoreError({ failure: 'refused', provider: 'fake', operation: 'part', key: 'k', reason: 'no' });
  store.failPart = { number: 2, error: failure };
  store.stallPart = 1;
  const source = Readable.from(endless(), { objectMode: false });
  await assert.rejects(uploadStream(store.storage, 'k', source, { partBytes: PART, parallel: 2 }), failure);
  assert.deepEqual([store.aborted, store.inFlight, source.destroyed, store.objects.size], [1, 0, true, 0]);
});

test('aborts the upload when the source fails', async () => {
  const store = new FakeStore();
  const source = Readable.from(
    (async function* () {
      yield randomBytes(3 * PART);
      throw new RangeError('disk on fire');
    })(),
    { objectMode: false },
  );
  await assert.rejects(uploadStream(store.storage, 'k', source, { partBytes: PART, parallel: 2 }), RangeError);
  assert.deepEqual([store.aborted, store.inFlight, store.objects.size], [1, 0, 0]);
});

test('throws the reason of its signal and leaves no upload open', async () => {
  const store = new FakeStore();
  const stop = new AbortController();
  store.stallPart = 1;
  store.onPart = () => stop.abort(new Error('enough'));
  const source = Readable.from(endless(), { objectMode: false });
  const options = { partBytes: PART, parallel: 2, signal: stop.signal };
  await assert.rejects(uploadStream(store.storage, 'k', source, options), /enough/);
  assert.deepEqual([store.aborted, store.inFlight], [1, 0]);
});

test('refuses parts that are too small or too many', async () => {
  const small = uploadStream(new FakeStore().storage, 'k', Readable.from([]), { partBytes: 1, parallel: 1 });
  await assert.rejects(small, { name: 'InvalidInputError', field: 'partBytes' });
  const store = new FakeStore();
  const source = Readable.from(endless(), { objectMode: false });
  await assert.rejects(uploadStream(store.storage, 'k', source, { partBytes: PART, parallel: 2 }), {
    name: 'PreconditionError',
    message: /more than 100 parts/,
  });
  assert.equal(store.aborted, 1);
});

/** Our port with parts that settle a turn later, stall or fail as told. */
class FakeStore {
  readonly objects = new Map<string, Buffer>();
  puts = 0;
  inFlight = 0;
  mostInFlight = 0;
  aborted = 0;
  failPart: { number: number; error: Error } | undefined;
  stallPart: number | undefined;
  onPart: () => void = () => undefined;
  readonly #parts = new Map<number, Buffer>();

  partSizes(): number[] {
    return [...this.#parts.keys()].sort((a, b) => a - b).map((number) => this.#parts.get(number)?.length ?? 0);
  }

  get storage(): ObjectStorage {
    const unused = () => {
      throw new Error('not asked for');
    };
    return {
      provider: 'fake',
      capabilities: { conditionalPut: false, minPartBytes: 10, maxParts: 100 },
      put: async (key, body) => {
        this.puts += 1;
        assert.ok(body instanceof Uint8Array);
        return this.#store(key, Buffer.from(body));
      },
      createMultipart: async (key) => this.#upload(key),
      head: unused,
      get: unused,
      list: unused,
      listFolders: unused,
      delete: unused,
      abortOrphans: unused,
      close: unused,
    };
  }

  #upload(key: string): MultipartUpload {
    return {
      part: async (number, bytes, options) => {
        this.inFlight += 1;
        this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
        try {
          this.onPart();
          if (this.stallPart === number) await aborted(options?.signal);
          await new Promise((resolve) => setImmediate(resolve));
          if (this.failPart?.number === number) throw this.failPart.error;
          this.#parts.set(number, Buffer.from(bytes));
        } finally {
          this.inFlight -= 1;
        }
      },
      complete: async () => {
        const numbers = [...this.#parts.keys()].sort((a, b) => a - b);
        return this.#store(key, Buffer.concat(numbers.map((number) => this.#parts.get(number) ?? Buffer.alloc(0))));
      },
      abort: async () => {
        this.aborted += 1;
      },
    };
  }

  #store(key: string, bytes: Buffer): ObjectInfo {
    this.objects.set(key, bytes);
    return { key, sizeBytes: bytes.length, etag: 'e', lastModified: new Date() };
  }
}

async function aborted(signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal?.aborted) resolve();
    signal?.addEventListener('abort', () => resolve());
  });
  signal?.throwIfAborted();
}

function* endless(): Generator<Buffer> {
  for (;;) yield Buffer.alloc(PART);
}

function cut(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

function sizesOf(size: number): number[] {
  return Array.from({ length: Math.ceil(size / PART) }, (_, index) => Math.min(PART, size - index * PART));
}
