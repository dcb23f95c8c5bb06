// The doors of the module: one block at a time, in the memory that `prepare` lays out.
import { checksumOfRuns, prepareChecksum } from './checksum';
import { blockPtr, layOut, packedLimit, packedPtr } from './memory';
import { packBlock } from './pack';
import { sortRotations } from './rotations';
import { makeSymbols, prepareSymbols } from './symbols';
import { unpackBlock } from './unpack';

export { unpackedChecksum, unpackedEnd, unpackedSize } from './unpack';

let checksum: u32 = 0;

/** Once, before anything else: `limit` is the size of the largest block in bytes. */
export function prepare(limit: i32): void {
  layOut(limit);
  prepareChecksum();
  prepareSymbols();
}

export function blockAddress(): usize {
  return blockPtr;
}

export function packedAddress(): usize {
  return packedPtr;
}

/** Room for a packed block, bytes. */
export function packedRoom(): i32 {
  return packedLimit;
}

/** Packs the `size` bytes at the block's address; returns the number of bits at the packed block's address. */
export function pack(size: i32): i32 {
  checksum = checksumOfRuns(blockPtr, size);
  const origin = sortRotations(size);
  makeSymbols(size);
  return packBlock(checksum, origin);
}

/** The checksum of the block that was packed last. */
export function packedChecksum(): u32 {
  return checksum;
}

/** Unpacks the block that begins at `bit` of the `size` bytes at the packed block's address; returns an outcome. */
export function unpack(size: i32, bit: i32): i32 {
  return unpackBlock(size, bit);
}
