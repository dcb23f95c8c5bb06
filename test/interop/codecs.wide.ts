// What our codecs write is read by the modules that the barman tools use, and the reverse. BARMAN_PYTHON names their Python.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { codecByName } from '../../sidecar/stream/codec.ts';
import { compress, decompress } from '../../sidecar/stream/whole.ts';
import { contents } from '../wal-like.ts';

const PYTHON = process.env.BARMAN_PYTHON;
/** Levels as barman gives them: its default, and the ends. */
const CODECS = {
  gzip: { levels: [6, 1, 9], module: 'gzip' },
  bzip2: { levels: [5, 1, 9], module: 'bz2' },
  xz: { levels: [3, 1], module: 'lzma' },
  zstd: { levels: [4, 1], module: 'zstandard' },
  lz4: { levels: [6, 0, 16], module: 'lz4.frame' },
  snappy: { levels: [0], module: 'snappy' },
} as const;

/** Reads standard input, writes standard output; arguments: module, pack or unpack, level. */
const SCRIPT = `
import sys, importlib, io
name, way, level = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = importlib.import_module(name)
data = sys.stdin.buffer.read()
if name == 'gzip': out = module.compress(data, level) if way == 'pack' else module.decompress(data)
elif name == 'bz2': out = module.compress(data, level) if way == 'pack' else module.decompress(data)
elif name == 'lzma': out = module.compress(data, preset=level) if way == 'pack' else module.decompress(data)
elif name == 'zstandard':
    if way == 'pack': out = module.ZstdCompressor(level).compress(data)
    else: out = module.ZstdDecompressor().decompressobj().decompress(data)
elif name == 'lz4.frame':
    out = module.compress(data, compression_level=level) if way == 'pack' else module.decompress(data)
else:
    target = io.BytesIO()
    if way == 'pack': module.stream_compress(io.BytesIO(data), target)
    else: module.stream_decompress(io.BytesIO(data), target)
    out = target.getvalue()
sys.stdout.buffer.write(out)
`;

for (const name of ['gzip', 'bzip2', 'xz', 'zstd', 'lz4', 'snappy'] as const) {
  const { levels, module } = CODECS[name];
  for (const [what, bytes] of Object.entries(contents())) {
    test(`${module} reads our ${name} of ${what}, and we read its own`, { skip: PYTHON === undefined }, async () => {
      const codec = codecByName(name);
      for (const level of levels) {
        const ours = await compress(codec, bytes, { level });
        assert.ok((await python(module, 'unpack', level, ours)).equals(bytes), `ours at level ${level}`);
        const theirs = await python(module, 'pack', level, bytes);
        // Of nothing python-snappy makes nothing, not even a stream; no file of WAL is empty.
        if (theirs.length === 0) continue;
        assert.ok((await decompress(codec, theirs)).equals(bytes), `theirs at level ${level}`);
        // A missing end must not pass for a whole one.
        await assert.rejects(decompress(codec, theirs.subarray(0, -1)), { name: 'CorruptError' });
      }
    });
  }
}

async function python(module: string, way: 'pack' | 'unpack', level: number, bytes: Buffer): Promise<Buffer> {
  const child = spawn(PYTHON ?? 'python3', ['-c', SCRIPT, module, way, String(level)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [, output] = await Promise.all([pipeline(Readable.from([bytes]), child.stdin), buffer(child.stdout)]);
  assert.equal(await ended, 0, `${module} could not ${way}`);
  return output;
}
