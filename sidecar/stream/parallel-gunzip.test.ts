// Cuts that are none, in what Cellar and others write.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { codecByName } from './codec.ts';
import { GunzipDecoder } from './parallel-gunzip.ts';
import { compress } from './whole.ts';

const MIB = 1024 * 1024;
const CUT = Buffer.from([0x00, 0x00, 0xff, 0xff]);

test('bytes that look like a cut do not end the work of several threads', async () => {
  const content = withCuts(randomBytes(8 * MIB), [100_000, 300_000, 5 * MIB + 500_000]);
  const packed = await compress(codecByName('gzip'), content);
  const { outputs } = await decode(packed);
  assert.ok(Buffer.concat(outputs).equals(content));
  const sizes = outputs.map((output) => output.length);
  assert.deepEqual(new Set(sizes), new Set([MIB]), 'each block comes in one piece, as in order it does not');
});

test('what others wrote with a single such place is not held until its end', async () => {
  const content = withCuts(randomBytes(40 * MIB), [MIB]);
  const packed = gzipSync(content, { level: 1 });
  const { outputs, inputBeforeOutputBytes } = await decode(packed);
  assert.ok(Buffer.concat(outputs).equals(content));
  assert.ok(inputBeforeOutputBytes < 10 * MIB, `${inputBeforeOutputBytes} bytes went in before anything came out`);
});

test('some kibibytes that stand for much are unpacked no faster than they are read', async () => {
  const decoder = new GunzipDecoder();
  decoder.end(gzipSync(Buffer.alloc(256 * MIB)));
  await once(decoder, 'readable');
  await setTimeout(200);
  assert.ok(decoder.readableLength > 0 && decoder.readableLength <= MIB, `${decoder.readableLength} bytes wait`);
  decoder.destroy();
});

function withCuts(content: Buffer, places: number[]): Buffer {
  for (const place of places) CUT.copy(content, place);
  return content;
}

async function decode(packed: Buffer): Promise<{ outputs: Buffer[]; inputBeforeOutputBytes: number }> {
  const decoder = new GunzipDecoder();
  const outputs: Buffer[] = [];
  let inputBytes = 0;
  let inputBeforeOutputBytes = 0;
  decoder.on('data', (output: Buffer) => {
    if (outputs.length === 0) inputBeforeOutputBytes = inputBytes;
    outputs.push(output);
  });
  for (let at = 0; at < packed.length; at += 65_536) {
    const chunk = packed.subarray(at, at + 65_536);
    inputBytes += chunk.length;
    if (!decoder.write(chunk)) await once(decoder, 'drain');
  }
  decoder.end();
  await finished(decoder);
  return { outputs, inputBeforeOutputBytes };
}
