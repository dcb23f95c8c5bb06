// The floors of base backups: a folder's bytes read, packed, sent, fetched, unpacked, written, each for itself. What a step
// needs of the one before it is prepared while the clock stands.
import { mkdir, open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { DataTask, FloorAnswer } from './floor.ts';
import type { FloorClient } from './floor-client.ts';
import { packBlock, unpackBlock } from './floor-codecs.ts';

const MIB = 1024 * 1024;
const BLOCK_BYTES = MIB;
/** So much is prepared at a time. */
const SLAB_BYTES = 128 * MIB;
/** Of an object, and of a put. */
const PIECE_BYTES = 16 * MIB;
/** Files and requests side by side. */
const IN_FLIGHT = 4;
/** Blocks that are packed side by side; one more for each core waits. */
const PACKED_ABREAST = 2 * availableParallelism();
const CHUNK_BYTES = 256 * 1024;

/** Measures one floor. `nextKey` names what is put. */
export async function performDataTask(
  task: DataTask,
  client: FloorClient,
  nextKey: () => string,
): Promise<FloorAnswer> {
  const clock = createClock();
  switch (task.kind) {
    case 'read':
      await clock.run(() => abreast(task.paths, IN_FLIGHT, (path) => eachPiece(path, async () => {})));
      break;
    case 'pack':
      for await (const slab of slabsOf(task.paths)) {
        await clock.run(() =>
          abreast(split(slab, BLOCK_BYTES), PACKED_ABREAST, async (block) => {
            await packBlock(task.codec, block, task.level);
          }),
        );
      }
      break;
    case 'unpack':
      for await (const slab of slabsOf(task.paths)) {
        const packed: Buffer[] = [];
        await abreast(split(slab, BLOCK_BYTES), PACKED_ABREAST, async (block) => {
          packed.push(await packBlock(task.codec, block, task.level));
        });
        await clock.run(() =>
          abreast(packed, PACKED_ABREAST, async (block) => {
            await unpackBlock(task.codec, block);
          }),
        );
      }
      break;
    case 'put':
      for (const pieces of groups(piecesOf(task.objects), SLAB_BYTES / PIECE_BYTES)) {
        const bodies = await Promise.all(pieces.map(({ key, from, to }) => client.getRange(key, from, to)));
        await clock.run(() => abreast(bodies, IN_FLIGHT, (body) => client.put(nextKey(), body)));
      }
      break;
    case 'get-pieces':
      await clock.run(() =>
        abreast(piecesOf(task.objects), IN_FLIGHT, ({ key, from, to }) => client.drain(key, from, to)),
      );
      break;
    case 'gunzip': {
      const bodies: Buffer[] = [];
      for (const { key, from, to } of piecesOf(task.objects)) bodies.push(await client.getRange(key, from, to));
      await clock.run(() => pipeline(Readable.from(bodies), createGunzip({ chunkSize: CHUNK_BYTES }), nowhere()));
      break;
    }
    case 'write':
      await mkdir(task.folder, { recursive: true });
      await clock.run(() =>
        abreast([...task.paths.entries()], IN_FLIGHT, ([at, path]) => copySynced(path, join(task.folder, String(at)))),
      );
      break;
  }
  return clock.answer();
}

/** Adds up what its runs take. */
function createClock() {
  const total: FloorAnswer = { wallMs: 0, cpuMs: 0 };
  return {
    async run(work: () => Promise<void>): Promise<void> {
      const cpu = process.cpuUsage();
      const startedAt = performance.now();
      await work();
      total.wallMs += performance.now() - startedAt;
      const { user, system } = process.cpuUsage(cpu);
      total.cpuMs += (user + system) / 1000;
    },
    answer: () => total,
  };
}

/** Runs work on all items, so many at a time. */
export async function abreast<T>(
  items: readonly T[],
  inFlight: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
}

async function eachPiece(path: string, take: (piece: Buffer) => Promise<void>): Promise<void> {
  const file = await open(path);
  try {
    const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, BLOCK_BYTES, null);
      if (bytesRead === 0) return;
      await take(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** The files behind each other, in one buffer that is used again. */
async function* slabsOf(paths: readonly string[]): AsyncGenerator<Buffer> {
  const slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  let filled = 0;
  for (const path of paths) {
    const file = await open(path);
    try {
      for (;;) {
        const { bytesRead } = await file.read(slab, filled, SLAB_BYTES - filled, null);
        if (bytesRead === 0) break;
        filled += bytesRead;
        if (filled < SLAB_BYTES) continue;
        yield slab;
        filled = 0;
      }
    } finally {
      await file.close();
    }
  }
  if (filled > 0) yield slab.subarray(0, filled);
}

function split(bytes: Buffer, sizeBytes: number): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += sizeBytes) parts.push(bytes.subarray(at, at + sizeBytes));
  return parts;
}

type Piece = { key: string; from: number; to: number };

/** Ranges of the objects; `to` is the last byte. */
export function piecesOf(objects: readonly { key: string; sizeBytes: number }[]): Piece[] {
  return objects.flatMap(({ key, sizeBytes }) =>
    Array.from({ length: Math.ceil(sizeBytes / PIECE_BYTES) }, (_, at) => ({
      ...{ key, from: at * PIECE_BYTES, to: Math.min((at + 1) * PIECE_BYTES, sizeBytes) - 1 },
    })),
  );
}

function groups<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

async function copySynced(from: string, to: string): Promise<void> {
  const file = await open(to, 'w');
  try {
    await eachPiece(from, async (piece) => void (await file.write(piece)));
    await file.datasync();
  } finally {
    await file.close();
  }
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
