// The process in which floors are measured: warm, and with nothing in it but codec libraries and the vendor's client.
import { open, readFile } from 'node:fs/promises';
import type { FloorAnswer, FloorTask } from './floor.ts';
import { createFloorClient } from './floor-client.ts';
import { decode, packOnAllCores, packWhole } from './floor-codecs.ts';
import { abreast, performDataTask } from './floor-data.ts';

const client = createFloorClient(JSON.parse(process.env.FLOOR_STORE ?? '{}'));
let serial = 0;

process.on('SIGINT', () => {});
process.on('message', ({ id, task }: { id: number; task: FloorTask }) => {
  perform(task).then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, problem: error instanceof Error ? error.stack : String(error) }),
  );
});

async function perform(task: FloorTask): Promise<FloorAnswer> {
  switch (task.kind) {
    case 'segment': {
      const bytes = await readFile(task.path);
      return timed(async () => client.put(nextKey(), await packOnAllCores(task.codec, bytes, task.level)));
    }
    case 'archive': {
      const buffers: Buffer[] = [];
      return timed(() =>
        abreast(task.paths, task.inFlight, async (path) => {
          const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(task.sizeBytes);
          await readInto(path, buffer);
          await client.put(nextKey(), await packWhole(task.codec, buffer, task.level));
          buffers.push(buffer);
        }),
      );
    }
    case 'get':
      return timed(() => abreast(task.keys, task.inFlight, (key) => client.drain(key)));
    case 'decode': {
      const different = [...new Set(task.keys.slice(0, task.different))];
      const bodies = await Promise.all(different.map((key) => client.get(key)));
      const all = task.keys.map((_key, at) => bodies[at % bodies.length] ?? Buffer.alloc(0));
      return timed(() =>
        abreast(all, task.inFlight, async (body) => {
          await decode(task.codec, body);
        }),
      );
    }
    default:
      return performDataTask(task, client, nextKey);
  }
}

async function timed(work: () => Promise<void>): Promise<FloorAnswer> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000 };
}

async function readInto(path: string, buffer: Buffer): Promise<void> {
  const file = await open(path, 'r');
  try {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead !== buffer.length) throw new Error(`${path}: read ${bytesRead} of ${buffer.length} bytes`);
  } finally {
    await file.close();
  }
}

function nextKey(): string {
  serial += 1;
  return `floor/${serial}`;
}
