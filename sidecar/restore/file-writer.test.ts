import assert from 'node:assert/strict';
import type { FileHandle } from 'node:fs/promises';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FileWriter } from './file-writer.ts';
import type { TarHeader } from './tar-header.ts';

const MIB = 1024 * 1024;
const HEADER: TarHeader = {
  ...{ kind: 'file', flag: '0', name: 'x', linkName: '', mode: 0o600, uid: 0, gid: 0, sizeBytes: 0, mtime: 7.5 },
};

test('a disk that takes less than it was given gets the rest', async () => {
  const { file, written } = fakeFile(1000);
  const writer = new FileWriter(Promise.resolve(file));
  const pieces = ['a', 'b', 'c'].map((letter) => Buffer.alloc(700, letter));
  for (const piece of pieces) await writer.write(piece);
  await writer.finish(HEADER, async () => {});
  assert.ok(Buffer.concat(written).equals(Buffer.concat(pieces)));
});

test('pieces gather while a write is under way, and the writer of pieces waits when a mebibyte has', async () => {
  const { file, written, hold } = fakeFile(Number.POSITIVE_INFINITY);
  const release = hold();
  const writer = new FileWriter(Promise.resolve(file));
  await setImmediate();
  assert.equal(writer.write(Buffer.alloc(MIB)), undefined);
  assert.equal(writer.write(Buffer.alloc(MIB / 2)), undefined);
  const waiting = writer.write(Buffer.alloc(MIB / 2));
  assert.ok(waiting instanceof Promise);
  release();
  await waiting;
  await writer.finish(HEADER, async () => {});
  assert.equal(Buffer.concat(written).length, 2 * MIB);
});

test('the time is set when all is written, then it is synced, then closed', async () => {
  const { file, steps } = fakeFile(Number.POSITIVE_INFINITY);
  const writer = new FileWriter(Promise.resolve(file));
  await writer.write(Buffer.alloc(10));
  await writer.finish({ ...HEADER, mode: 0o640 }, (open) => open.sync());
  const owned = process.getuid?.() === 0 ? ['chown'] : [];
  assert.deepEqual(steps, ['writev', ...owned, 'chmod 640', 'utimes 7.5', 'sync', 'close']);
});

test('what the disk says ends the file, closed, and is told once', async () => {
  const { file, steps } = fakeFile(Number.POSITIVE_INFINITY);
  file.writev = async () => {
    throw new Error('no space left');
  };
  const writer = new FileWriter(Promise.resolve(file));
  await writer.write(Buffer.alloc(MIB));
  await assert.rejects(
    writer.finish(HEADER, async () => {}),
    /no space left/,
  );
  assert.deepEqual(steps, ['close']);
  const unopened = new FileWriter(Promise.reject(new Error('no such folder')));
  await assert.rejects(
    unopened.finish(HEADER, async () => {}),
    /no such folder/,
  );
});

/** A file whose writes take so many bytes at most, and wait while they are held. */
function fakeFile(mostBytes: number) {
  const written: Buffer[] = [];
  const steps: string[] = [];
  let held: Promise<void> | undefined;
  const note = (step: string) => async () => {
    steps.push(step);
  };
  const fake = {
    async writev(pieces: Buffer[]) {
      await held;
      steps.push('writev');
      const taken = Buffer.concat(pieces).subarray(0, mostBytes);
      written.push(taken);
      return { bytesWritten: taken.length };
    },
    chown: note('chown'),
    chmod: (mode: number) => note(`chmod ${mode.toString(8)}`)(),
    utimes: (_: number, mtime: number) => note(`utimes ${mtime}`)(),
    sync: note('sync'),
    close: note('close'),
  };
  const hold = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    return resolve;
  };
  return { file: fake as unknown as FileHandle, written, steps, hold };
}
