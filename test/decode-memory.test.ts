// What a decoder holds does not follow what its input expands to: 128 MiB of zeros are some kibibytes in every format.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { codecByName } from '../sidecar/stream/codec.ts';
import { compress } from '../sidecar/stream/whole.ts';
import { walLike } from './wal-like.ts';

const MIB = 1024 * 1024;
/** Four of them unpacked are 512 MiB. Library, buffers and what the garbage collector lets stand come to 60 to 225. */
const LIMIT_BYTES = 320 * MIB;

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellar-decode-'));
});
after(() => rm(folder, { recursive: true }));

for (const name of ['gzip', 'bzip2', 'zstd', 'lz4', 'snappy', 'xz'] as const) {
  test(`four ${name} segments that expand a thousandfold are unpacked at once in less than they hold`, async () => {
    const content = Buffer.concat([walLike(300_000), Buffer.alloc(128 * MIB - 300_000)]);
    const file = join(folder, name);
    await writeFile(file, await compress(codecByName(name), content));
    const child = join(import.meta.dirname, 'decode-memory.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [child, name, file]);
    const peakBytes = Number(stdout);
    assert.ok(peakBytes > 0 && peakBytes < LIMIT_BYTES, `${Math.round(peakBytes / MIB)} MiB`);
  });
}
