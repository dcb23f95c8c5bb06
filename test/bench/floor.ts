// Floors: what the same bytes cost when nothing is done but packing and storing them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Cleanup } from '../demo/cleanup.ts';
import type { CodecName } from './options.ts';
import type { BenchStore } from './store.ts';

export type FloorTask =
  /** One segment: packed on all cores, then one put. The file is read before the clock starts. */
  | { kind: 'segment'; path: string; codec: CodecName; level: number | undefined }
  /** Many: read, packed whole, put, so many at a time. */
  | {
      kind: 'archive';
      paths: readonly string[];
      codec: CodecName;
      level: number | undefined;
      inFlight: number;
      sizeBytes: number;
    }
  /** Objects read and forgotten. */
  | { kind: 'get'; keys: readonly string[]; inFlight: number }
  /** As many as there are keys, unpacked from memory; the first `different` ones are fetched before the clock starts. */
  | { kind: 'decode'; keys: readonly string[]; codec: CodecName; inFlight: number; different: number }
  | DataTask;

type Objects = readonly { key: string; sizeBytes: number }[];

/** What a base backup and its restore are made of. */
export type DataTask =
  /** Files read and forgotten, several at a time. */
  | { kind: 'read'; paths: readonly string[] }
  /** Their bytes packed on all cores, from memory, in blocks that know nothing of each other; or unpacked again. */
  | { kind: 'pack' | 'unpack'; paths: readonly string[]; codec: CodecName; level: number | undefined }
  /** The same bytes as these objects sent, from memory, or fetched and forgotten. */
  | { kind: 'put' | 'get-pieces'; objects: Objects }
  /** One gzip stream, which nothing can read but in order, unpacked from memory. */
  | { kind: 'gunzip'; objects: Objects }
  /** Files written and synced to a folder, several at a time; reading them is counted too. */
  | { kind: 'write'; paths: readonly string[]; folder: string };

export type FloorAnswer = { wallMs: number; cpuMs: number };

export type Floor = { measure(task: FloorTask): Promise<FloorAnswer> };

type Message = { id: number; answer?: FloorAnswer; problem?: string };

/** libuv's own number of threads. */
const DEFAULT_THREADS = 4;

/** Starts the one process that all floors of a run are measured in. */
export function startFloor(store: BenchStore, cleanup: Cleanup): Floor {
  const { endpoint, accessKeyId, secretAccessKey, bucket } = store;
  const env = {
    ...process.env,
    UV_THREADPOOL_SIZE: String(Math.max(DEFAULT_THREADS, availableParallelism())),
    FLOOR_STORE: JSON.stringify({ endpoint, accessKeyId, secretAccessKey, bucket }),
  };
  const child = fork(join(import.meta.dirname, 'floor-child.ts'), { env });
  const ended = once(child, 'exit');
  cleanup.add(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const died = ended.then((): [Message] => [{ id: 0, problem: 'the process has ended' }]);
  let lastId = 0;
  return {
    async measure(task) {
      lastId += 1;
      const id = lastId;
      const answered = once(child, 'message') as Promise<[Message]>;
      child.send({ id, task });
      const [message] = await Promise.race([answered, died]);
      if (message.answer !== undefined && message.id === id) return message.answer;
      throw new Error(`floor of ${task.kind}: ${message.problem ?? 'the answer to another task came'}`);
    },
  };
}
