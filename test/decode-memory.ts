// Unpacks a file several times at once and tells the peak of memory that it took, in bytes: run by decode-memory.test.ts in
// a process of its own. Arguments: codec, file.
import { createReadStream } from 'node:fs';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codecByName } from '../sidecar/stream/codec.ts';
import { peakMemoryBytes } from './process.ts';

const AT_ONCE = 4;
const [name = '', file = ''] = process.argv.slice(2);

/** As slow as a disk that keeps up: each piece is let go before the next one is wanted. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, callback) => void setImmediate(callback) });
}

const before = peakMemoryBytes(process.pid) ?? 0;
const codec = codecByName(name as Parameters<typeof codecByName>[0]);
const copies = Array.from({ length: AT_ONCE }, () =>
  pipeline(createReadStream(file, { highWaterMark: 64 * 1024 }), codec.decoder(), nowhere()),
);
await Promise.all(copies);
console.log((peakMemoryBytes(process.pid) ?? 0) - before);
