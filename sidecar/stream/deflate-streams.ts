// Raw deflate streams that are used again: setting one up for each block costs a quarter of a mebibyte of fresh memory and
// its page faults, sixteen times for a segment.
import { constants, createDeflateRaw, type DeflateRaw } from 'node:zlib';

/** What most blocks become fits into one piece; zlib's default pieces of 16 KiB cost 10 % more. */
const CHUNK_BYTES = 512 * 1024;
/** As many as eight files at a time use on two cores; idle ones keep a quarter of a mebibyte each. */
const MOST_IDLE = 16;

const FLUSHED = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const idle = new Map<number, DeflateRaw[]>();

/**
 * Packs a block into raw deflate that knows nothing of any other block and ends at a byte, with a full flush (00 00 FF FF):
 * after one, a stream begins as if it were new.
 */
export async function deflateBlock(bytes: Buffer, level: number): Promise<Buffer> {
  const streams = idle.get(level) ?? [];
  idle.set(level, streams);
  const stream = streams.pop() ?? createDeflateRaw({ level, chunkSize: CHUNK_BYTES });
  const packed = await flushed(stream, bytes);
  if (streams.length < MOST_IDLE) streams.push(stream);
  else stream.destroy();
  return packed;
}

function flushed(stream: DeflateRaw, bytes: Buffer): Promise<Buffer> {
  const pieces: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const onData = (piece: Buffer): void => {
      pieces.push(piece);
    };
    const onError = (error: Error): void => {
      stream.destroy();
      reject(error);
    };
    stream.on('data', onData).once('error', onError);
    stream.write(bytes);
    stream.flush(constants.Z_FULL_FLUSH, () => {
      stream.off('data', onData).off('error', onError);
      const [first = Buffer.alloc(0), ...others] = pieces;
      const packed = others.length === 0 ? first : Buffer.concat(pieces);
      if (packed.subarray(-FLUSHED.length).equals(FLUSHED)) resolve(packed);
      else onError(new Error('a deflate stream has not given all that it packed'));
    });
  });
}
