// Raw deflate streams that are used again: setting one up for each block costs a quarter of a mebibyte of fresh memory and
// its page faults, sixteen times for a segment.
import { constants, createDeflateRaw, type DeflateRaw } from 'node:zlib';
import { freeNow, lendOnce } from './blocks.ts';

/** What most blocks become fits into one piece; zlib's default pieces of 16 KiB cost 10 % more. */
const CHUNK_BYTES = 512 * 1024;
/** As many as eight files at a time use on two cores; idle ones keep a quarter of a mebibyte each. */
const MOST_IDLE = 16;

const FLUSHED = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** A stream and the piece of memory that it writes into at present. */
type Packer = { deflate: DeflateRaw; output: Buffer | undefined };

const idle = new Map<number, Packer[]>();

/**
 * Packs a block into raw deflate that knows nothing of any other block and ends at a byte, with a full flush (00 00 FF FF):
 * after one, a stream begins as if it were new. What it returns is lent once (blocks.ts).
 */
export async function deflateBlock(bytes: Buffer, level: number): Promise<Buffer> {
  const packers = idle.get(level) ?? [];
  idle.set(level, packers);
  const packer = packers.pop() ?? {
    deflate: createDeflateRaw({ level, chunkSize: CHUNK_BYTES }),
    output: undefined,
  };
  const packed = await flushed(packer, bytes);
  if (packers.length < MOST_IDLE) packers.push(packer);
  else packer.deflate.destroy();
  return packed;
}

function flushed(packer: Packer, bytes: Buffer): Promise<Buffer> {
  const { deflate } = packer;
  const pieces: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const onData = (piece: Buffer): void => {
      pieces.push(piece);
    };
    const onError = (error: Error): void => {
      deflate.destroy();
      reject(error);
    };
    deflate.on('data', onData).once('error', onError);
    deflate.write(bytes);
    deflate.flush(constants.Z_FULL_FLUSH, () => {
      deflate.off('data', onData).off('error', onError);
      const packed = takeOut(packer, pieces);
      if (packed.subarray(-FLUSHED.length).equals(FLUSHED)) resolve(packed);
      else onError(new Error('a deflate stream has not given all that it packed'));
    });
  });
}

/** Copies what was packed, and frees the memory that zlib has filled and left. */
function takeOut(packer: Packer, pieces: readonly Buffer[]): Buffer {
  const packed = Buffer.allocUnsafeSlow(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    at += piece.copy(packed, at);
    const { output } = packer;
    if (output !== undefined && output.buffer !== piece.buffer) freeNow(output);
    // Of any other size it would not be zlib's alone.
    packer.output = piece.buffer.byteLength === CHUNK_BYTES ? piece : undefined;
  }
  return lendOnce(packed);
}
