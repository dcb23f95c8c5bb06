// What our codecs write is read by the modules that the barman tools use, and the reverse. BARMAN_PYTHON names their Python.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { codecByName } from '../../sidecar/stream/codec.ts';
import { compress, decompress } from '../../sidecar/stream/whole.ts';
import { contents } from '../wal-like.ts';
import { type CodecWorker, startCodecWorker } from './codec-worker.ts';

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

let worker: CodecWorker | undefined;
before(() => {
  if (PYTHON !== undefined) worker = startCodecWorker(PYTHON);
});
after(() => worker?.stop());

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

function python(...request: Parameters<CodecWorker['call']>): Promise<Buffer> {
  assert.ok(worker);
  return worker.call(...request);
}
