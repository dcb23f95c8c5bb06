// The first file that a process unpacks: its library is still being loaded while the bytes arrive.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { randomLike } from '../../test/wal-like.ts';
import { codecByName } from './codec.ts';
import { compress } from './whole.ts';

const PROGRAM = `
import { createWriteStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
const [codecs, name, from, to] = process.argv.slice(2);
const { codecByName } = await import(codecs);
const bytes = readFileSync(from);
// All of it is there at once: none waits for the library.
const pieces = Array.from({ length: Math.ceil(bytes.length / 65536) }, (_, at) => bytes.subarray(at * 65536, (at + 1) * 65536));
await pipeline(Readable.from(pieces), codecByName(name).decoder(), createWriteStream(to));
`;

for (const name of ['gzip', 'bzip2', 'zstd', 'lz4', 'snappy', 'xz'] as const) {
  test(`a process that has never used ${name} unpacks its first file right`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cellar-first-'));
    t.after(() => rm(folder, { recursive: true }));
    // Blocks that pack to a third of a mebibyte: several pieces of input each, and several blocks in hand.
    const block = (seed: string) => Buffer.concat([randomLike(300_000, seed), Buffer.alloc(1024 * 1024 - 300_000)]);
    const content = Buffer.concat(['a', 'b', 'c', 'd', 'e', 'f'].map(block));
    await writeFile(join(folder, 'packed'), await compress(codecByName(name), content));
    const codecs = join(import.meta.dirname, 'codec.ts');
    const program = join(folder, 'program.mjs');
    await writeFile(program, PROGRAM);
    const args = [program, codecs, name, join(folder, 'packed'), join(folder, 'out')];
    await promisify(execFile)(process.execPath, args);
    assert.ok((await readFile(join(folder, 'out'))).equals(content));
  });
}
