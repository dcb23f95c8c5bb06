// A thread of the block workers: one block in, one block out, in the same buffer, which travels without being copied.
import { parentPort, workerData } from 'node:worker_threads';
import { BlockCoder } from './block-coder.ts';
import type { BlockAnswer, BlockTask } from './workers.ts';

const coder = new BlockCoder(workerData.module);

parentPort?.on('message', (task: BlockTask) => {
  const room = new Uint8Array(task.buffer);
  const result =
    task.kind === 'pack'
      ? coder.pack(room, task.sizeBytes, task.limitBytes)
      : coder.unpack(room, task.sizeBytes, task.bit);
  const answer: BlockAnswer = { buffer: task.buffer, result };
  parentPort?.postMessage(answer, [task.buffer]);
});
