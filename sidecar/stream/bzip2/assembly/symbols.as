// From the last column to the symbols that are Huffman coded: move to front, then runs of zeros in bijective binary.
import { columnPtr, suffixPtr } from './memory';

export const RUN_A: u32 = 0;
export const RUN_B: u32 = 1;
/** Symbols are kept as 16-bit numbers, in the place of the suffix array, which is no longer needed. */
export let symbolCount: i32 = 0;
/** Number of different symbols: two for runs, one for each byte value but the first, one for the end. */
export let alphabetSize: i32 = 0;

/** How often each symbol occurs. */
export const FREQUENCIES: usize = memory.data(258 * 4);
/** One byte for each value: whether it occurs. */
export const USED: usize = memory.data(256);
/** Byte values by recency, with room for one byte before them. */
const RECENT_ROOM: usize = memory.data(16 + 256, 16);
/** 16 masks: the lanes up to and including the given one. */
const UP_TO: usize = memory.data(256, 16);

export function prepareSymbols(): void {
  for (let lane = 0; lane < 16; lane++) {
    for (let i = 0; i < 16; i++) store<u8>(UP_TO + <usize>(lane * 16 + i), i <= lane ? 0xff : 0);
  }
}

/** Fills symbols, frequencies and the map of used bytes from a column of `size` bytes, 1 or more. */
export function makeSymbols(size: i32): void {
  const recent = RECENT_ROOM + 16;
  listUsed(recent, size);
  memory.fill(FREQUENCIES, 0, 258 * 4);
  let out = suffixPtr;
  let run: u32 = 0;
  let front: v128 = v128.load(recent);
  let first: u32 = i8x16.extract_lane_u(front, 0);
  for (let i: usize = 0; i < <usize>size; i++) {
    const byte: u32 = load<u8>(columnPtr + i);
    if (byte == first) {
      run++;
      continue;
    }
    if (run != 0) {
      out = writeRun(out, run);
      run = 0;
    }
    first = byte;
    const wanted = i8x16.splat(<i8>byte);
    const found = i8x16.bitmask(i8x16.eq(front, wanted));
    let rank: u32;
    if (found != 0) {
      rank = ctz(found);
      const moved = i8x16.shuffle(wanted, front, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
      front = v128.bitselect(moved, front, v128.load(UP_TO + (<usize>rank << 4)));
    } else {
      v128.store(recent, front);
      rank = moveFarToFront(recent, wanted);
      front = i8x16.shuffle(wanted, front, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
    }
    out = writeSymbol(out, rank + 1);
  }
  if (run != 0) out = writeRun(out, run);
  out = writeSymbol(out, <u32>alphabetSize - 1);
  symbolCount = <i32>((out - suffixPtr) >> 1);
}

function listUsed(recent: usize, size: i32): void {
  memory.fill(USED, 0, 256);
  for (let i: usize = 0; i < <usize>size; i++) store<u8>(USED + <usize>load<u8>(columnPtr + i), 1);
  // Places behind the last used value must not look like one of them: they keep the unused values.
  let count: usize = 0;
  for (let value: usize = 0; value < 256; value++) if (load<u8>(USED + value)) store<u8>(recent + count++, <u8>value);
  alphabetSize = <i32>count + 2;
  for (let value: usize = 0; value < 256; value++) if (!load<u8>(USED + value)) store<u8>(recent + count++, <u8>value);
}

/** A value that is not among the first 16: moves those before it one place back, from the second 16 on. */
function moveFarToFront(recent: usize, wanted: v128): u32 {
  let group: usize = 16;
  let found = 0;
  while ((found = i8x16.bitmask(i8x16.eq(v128.load(recent + group), wanted))) == 0) group += 16;
  const lane: u32 = ctz(found);
  const last = v128.load(recent + group);
  v128.store(recent + group, v128.bitselect(v128.load(recent + group - 1), last, v128.load(UP_TO + (<usize>lane << 4))));
  for (let at = group - 16; at >= 16; at -= 16) v128.store(recent + at, v128.load(recent + at - 1));
  return <u32>group + lane;
}

function writeRun(out: usize, run: u32): usize {
  // Digits 1 and 2, least significant first.
  while (run > 0) {
    if (run & 1) {
      out = writeSymbol(out, RUN_A);
      run = (run - 1) >> 1;
    } else {
      out = writeSymbol(out, RUN_B);
      run = (run - 2) >> 1;
    }
  }
  return out;
}

// @ts-ignore: decorator
@inline
function writeSymbol(out: usize, symbol: u32): usize {
  store<u16>(out, <u16>symbol);
  const frequency = FREQUENCIES + (<usize>symbol << 2);
  store<u32>(frequency, load<u32>(frequency) + 1);
  return out + 2;
}
