// One Python process for all calls of the codec modules: starting one for each call cost more than the calls.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export type CodecWorker = {
  /** Throws with the module's own words when it fails. Calls are served in turn. */
  call(module: string, way: 'pack' | 'unpack', level: number, bytes: Buffer): Promise<Buffer>;
  stop(): Promise<void>;
};

/** Starts the worker with a Python that has the modules. */
export function startCodecWorker(python: string): CodecWorker {
  const child = spawn(python, [join(import.meta.dirname, 'codec-worker.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(`ended with ${signal ?? code}`));
  });
  // A write to a process that has gone is told by the read that follows it.
  child.stdin.on('error', () => {});
  const answers = child.stdout[Symbol.asyncIterator]();
  let received: Buffer = Buffer.alloc(0);

  const read = async (sizeBytes: number): Promise<Buffer> => {
    const chunks = [received];
    let length = received.length;
    while (length < sizeBytes) {
      const { done, value } = await answers.next();
      if (done) throw new Error(`the codec worker ${await ended}`);
      chunks.push(value);
      length += value.length;
    }
    const all = Buffer.concat(chunks);
    received = all.subarray(sizeBytes);
    return all.subarray(0, sizeBytes);
  };
  const call: CodecWorker['call'] = async (module, way, level, bytes) => {
    const header = Buffer.from(JSON.stringify({ module, way, level, size: bytes.length }));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(header.length);
    for (const piece of [length, header, bytes]) child.stdin.write(piece);
    const head = await read(5);
    const result = await read(head.readUInt32BE(1));
    if (head[0] !== 0) throw new Error(`${module} could not ${way}: ${result}`);
    return result;
  };

  let last: Promise<unknown> = Promise.resolve();
  return {
    call(...request) {
      const answer = last.then(() => call(...request));
      last = answer.catch(() => {});
      return answer;
    },
    async stop() {
      await last;
      child.stdin.end();
      await ended;
    },
  };
}
