// Threads that pack and unpack blocks. Started one by one as work comes, never more than the cores; they do not keep the
// process alive while they are idle.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import {
  blockRoomBytes,
  LARGEST_BLOCK_BYTES,
  loadBlockModule,
  type PackedBlock,
  type UnpackedBlock,
} from './block-coder.ts';

export type BlockTask =
  | { kind: 'pack'; buffer: ArrayBuffer; sizeBytes: number; limitBytes: number }
  | { kind: 'unpack'; buffer: ArrayBuffer; sizeBytes: number; bit: number };
/** The buffer comes back, with the result at its start. */
export type BlockAnswer = { buffer: ArrayBuffer; result: PackedBlock | UnpackedBlock };

type Job = { task: BlockTask; resolve(answer: BlockAnswer): void; reject(error: unknown): void };
type Thread = { worker: Worker; job: Job | undefined };

/** Bounds the memory that many cores would take, and what one process may need of them. */
const MOST_THREADS = 8;

/**
 * A bounded set of threads. Memory per thread: about 8 MiB for the thread itself and, when used, 19 bytes for each byte of
 * the largest block: 10 MB at level 5, 17 MB at level 9 and for reading.
 */
export class BlockWorkers {
  readonly parallel: number;
  readonly #threads: Thread[] = [];
  readonly #waiting: Job[] = [];
  readonly #free: ArrayBuffer[] = [];
  #module: WebAssembly.Module | undefined;

  constructor(parallel: number = Math.min(MOST_THREADS, availableParallelism())) {
    this.parallel = Math.max(1, parallel);
  }

  /** A buffer for a task, as large as any block can need; give it back with `release`. */
  take(): ArrayBuffer {
    return this.#free.pop() ?? new ArrayBuffer(blockRoomBytes(LARGEST_BLOCK_BYTES));
  }

  /** Keeps a buffer for the next task. */
  release(buffer: ArrayBuffer): void {
    if (this.#free.length < 2 * this.parallel) this.#free.push(buffer);
  }

  /** Packs the first `sizeBytes` bytes of the buffer, which is gone until the answer brings it back. */
  pack(
    buffer: ArrayBuffer,
    sizeBytes: number,
    limitBytes: number,
  ): Promise<{ buffer: ArrayBuffer; result: PackedBlock }> {
    return this.#run<PackedBlock>({ kind: 'pack', buffer, sizeBytes, limitBytes });
  }

  /** Unpacks the block at `bit` of the first `sizeBytes` bytes of the buffer, which is gone until the answer. */
  unpack(buffer: ArrayBuffer, sizeBytes: number, bit: number): Promise<{ buffer: ArrayBuffer; result: UnpackedBlock }> {
    return this.#run<UnpackedBlock>({ kind: 'unpack', buffer, sizeBytes, bit });
  }

  /** Ends the threads; what they were doing fails. Later work starts new ones. */
  async close(): Promise<void> {
    this.#free.length = 0;
    const threads = this.#threads.splice(0);
    for (const job of this.#waiting.splice(0)) job.reject(new Error('the block workers were closed'));
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  async #run<Result extends PackedBlock | UnpackedBlock>(
    task: BlockTask,
  ): Promise<{ buffer: ArrayBuffer; result: Result }> {
    const answer = await new Promise<BlockAnswer>((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject });
      this.#assign();
    });
    return answer as { buffer: ArrayBuffer; result: Result };
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const idle = this.#threads.find((thread) => thread.job === undefined);
      const thread = idle ?? (this.#threads.length < this.parallel ? this.#start() : undefined);
      if (thread === undefined) return;
      const job = this.#waiting.shift();
      if (job === undefined) return;
      thread.job = job;
      thread.worker.ref();
      thread.worker.postMessage(job.task, [job.task.buffer]);
    }
  }

  #start(): Thread {
    this.#module ??= loadBlockModule();
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'bzip2',
      workerData: { module: this.#module },
      resourceLimits: { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 },
    });
    const thread: Thread = { worker, job: undefined };
    worker.on('message', (answer: BlockAnswer) => {
      const job = thread.job;
      thread.job = undefined;
      worker.unref();
      this.#assign();
      job?.resolve(answer);
    });
    worker.on('error', (error) => this.#drop(thread, error));
    worker.on('exit', () => this.#drop(thread, new Error('a bzip2 thread ended')));
    this.#threads.push(thread);
    return thread;
  }

  #drop(thread: Thread, error: unknown): void {
    const place = this.#threads.indexOf(thread);
    if (place >= 0) this.#threads.splice(place, 1);
    const job = thread.job;
    thread.job = undefined;
    job?.reject(error);
    if (place >= 0) this.#assign();
  }
}

/** The threads that all streams of this process share. Nothing runs before the first block. */
export const sharedBlockWorkers = new BlockWorkers();
