// From the bits of one block to its bytes before the last step (runs of four and a count), proven by the checksum.
import { checksumOfRuns } from './checksum';
import { blockLimit, blockPtr, columnPtr, packedPtr, suffixPtr } from './memory';

const GROUP: i32 = 50;
const LONGEST: u32 = 20;
/** Codes of up to this many bits are found in one step. */
const QUICK: u32 = 10;

/** What `unpackBlock` answers. */
const WHOLE = 0;
/** The bytes end before the block does. */
const SHORT = 1;
/** The bits break a rule of the format. */
const BROKEN = 2;
/** All rules are kept, and the checksum differs. */
const DIFFERENT = 3;
/** A randomised block, as no writer has made since 1998. */
const RANDOMISED = 4;
/** No block begins here. */
const NO_BLOCK = 5;

/** Bit after the block. */
export let unpackedEnd: i32 = 0;
/** Bytes at the block's address. */
export let unpackedSize: i32 = 0;
export let unpackedChecksum: u32 = 0;

/** For each code 1,024 entries: symbol in the upper 12 bits, length in the lower 4; 0 for a longer code. */
const QUICK_TABLES: usize = memory.data(6 * 1024 * 2);
/** For each code and length: the first code that is longer, in `LONGEST` bits. */
const LIMITS: usize = memory.data(6 * 32 * 4);
/** For each code and length: what leads from the code to the place of its symbol. */
const BASES: usize = memory.data(6 * 32 * 4);
/** For each code its symbols by length and value. */
const SYMBOLS: usize = memory.data(6 * 258 * 2);
const SHORTEST: usize = memory.data(6 * 4);
const LENGTHS: usize = memory.data(258);
const COUNTS: usize = memory.data(256 * 4);
const RECENT_ROOM: usize = memory.data(256 + 16);
/** A legal block has at most 18,002 useful ones; more are read and left. */
const SELECTORS: usize = memory.data(18002);

let bitAt: i32 = 0;

export function unpackBlock(size: i32, bit: i32): i32 {
  const endBit = size << 3;
  // What is read past the end is zero, and found out at the end.
  memory.fill(packedPtr + <usize>size, 0, 64);
  bitAt = bit;
  if (bit + 105 > endBit) return SHORT;
  if (bits(24) != 0x314159 || bits(24) != 0x265359) return NO_BLOCK;
  unpackedChecksum = bits(16) << 16;
  unpackedChecksum |= bits(16);
  if (bits(1) != 0) return RANDOMISED;
  const origin = <i32>bits(24);
  const used = readUsed();
  const alphabet = used + 2;
  const codeCount = <i32>bits(3);
  const groupCount = <i32>bits(15);
  if (bitAt > endBit) return SHORT;
  if (used == 0 || codeCount < 2 || codeCount > 6 || groupCount == 0) return BROKEN;
  if (!readSelectors(codeCount, groupCount, endBit)) return bitAt > endBit ? SHORT : BROKEN;
  for (let code = 0; code < codeCount; code++) {
    if (!readLengths(alphabet, endBit) || !makeDecoder(code, alphabet)) return bitAt > endBit ? SHORT : BROKEN;
  }
  const count = readSymbols(groupCount, alphabet - 1, endBit);
  if (count < 0) return bitAt > endBit ? SHORT : BROKEN;
  if (bitAt > endBit) return SHORT;
  if (origin >= count) return BROKEN;
  unpackedEnd = bitAt;
  unpackedSize = count;
  invert(count, origin);
  return checksumOfRuns(blockPtr, count) == unpackedChecksum ? WHOLE : DIFFERENT;
}

/** Up to 24 bits. */
function bits(count: u32): u32 {
  const word = bswap(load<u32>(packedPtr + <usize>(bitAt >> 3))) << (<u32>bitAt & 7);
  bitAt += <i32>count;
  return word >> (32 - count);
}

/** Lists the byte values that occur; returns their number. */
function readUsed(): i32 {
  const ranges = bits(16);
  let count: usize = 0;
  for (let range = 0; range < 16; range++) {
    if (((ranges >> (15 - range)) & 1) == 0) continue;
    const values = bits(16);
    for (let i = 0; i < 16; i++) {
      if ((values >> (15 - i)) & 1) store<u8>(RECENT_ROOM + 16 + count++, <u8>(range * 16 + i));
    }
  }
  return <i32>count;
}

function readSelectors(codeCount: i32, groupCount: i32, endBit: i32): bool {
  let recent: u64 = 0x050403020100;
  for (let group = 0; group < groupCount; group++) {
    let rank: u32 = 0;
    while (bits(1) != 0) if (++rank >= <u32>codeCount) return false;
    const code = (recent >> (rank << 3)) & 255;
    const upTo = (<u64>1 << ((rank + 1) << 3)) - 1;
    recent = (recent & ~upTo) | ((recent << 8) & upTo) | code;
    if (group < 18002) store<u8>(SELECTORS + <usize>group, <u8>code);
    if (bitAt > endBit) return false;
  }
  return true;
}

function readLengths(alphabet: i32, endBit: i32): bool {
  let length = bits(5);
  for (let symbol = 0; symbol < alphabet; symbol++) {
    while (true) {
      if (length < 1 || length > LONGEST || bitAt > endBit) return false;
      if (bits(1) == 0) break;
      length += bits(1) == 0 ? 1 : -1;
    }
    store<u8>(LENGTHS + <usize>symbol, <u8>length);
  }
  return true;
}

/** False where more codes are given than there are. Codes that are not given are found out when they are read. */
function makeDecoder(code: i32, alphabet: i32): bool {
  const quick = QUICK_TABLES + <usize>(code << 11);
  const symbols = SYMBOLS + <usize>(code * 258 * 2);
  memory.fill(quick, 0, 2048);
  let next: u32 = 0;
  let place: u32 = 0;
  let shortestLength: u32 = 0;
  for (let length: u32 = 1; length <= LONGEST; length++) {
    store<u32>(BASES + <usize>(((code << 5) + length) << 2), place - next);
    for (let symbol = 0; symbol < alphabet; symbol++) {
      if (<u32>load<u8>(LENGTHS + <usize>symbol) != length) continue;
      if (next >= <u32>1 << length) return false;
      if (shortestLength == 0) shortestLength = length;
      store<u16>(symbols + (<usize>place << 1), <u16>symbol);
      if (length <= QUICK) {
        const copies = <u32>1 << (QUICK - length);
        for (let i: u32 = 0; i < copies; i++) {
          store<u16>(quick + <usize>(((next << (QUICK - length)) + i) << 1), <u16>((symbol << 4) | length));
        }
      }
      place++;
      next++;
    }
    store<u32>(LIMITS + <usize>(((code << 5) + length) << 2), next << (LONGEST - length));
    next <<= 1;
  }
  return true;
}

/** Fills links with bytes and their counts up to the end symbol; returns how many, or -1. */
function readSymbols(groupCount: i32, endSymbol: u32, endBit: i32): i32 {
  memory.fill(COUNTS, 0, 1024);
  const recent = RECENT_ROOM + 16;
  const links = suffixPtr;
  let count = 0;
  let run: u32 = 0;
  let digit: u32 = 1;
  let at = bitAt;
  const groups = min(groupCount, 18002);
  for (let group = 0; group < groups; group++) {
    if (at > endBit) break;
    const code = <i32>load<u8>(SELECTORS + <usize>group);
    const quick = QUICK_TABLES + <usize>(code << 11);
    for (let i = 0; i < GROUP; i++) {
      const word = bswap(load<u32>(packedPtr + <usize>(at >> 3))) << (<u32>at & 7);
      const entry: u32 = load<u16>(quick + <usize>((word >> (32 - QUICK)) << 1));
      let symbol: u32 = entry >> 4;
      if (entry != 0) at += <i32>(entry & 15);
      else {
        const top = word >> (32 - LONGEST);
        let length = QUICK + 1;
        while (length <= LONGEST && top >= load<u32>(LIMITS + <usize>((<u32>(code << 5) + length) << 2))) length++;
        if (length > LONGEST) {
          bitAt = at;
          return -1;
        }
        const place = (top >> (LONGEST - length)) + load<u32>(BASES + <usize>((<u32>(code << 5) + length) << 2));
        symbol = load<u16>(SYMBOLS + <usize>(code * 258 * 2) + (<usize>place << 1));
        at += <i32>length;
      }
      if (symbol <= 1) {
        // Digits 1 and 2, least significant first.
        if (digit > 1 << 21) {
          bitAt = at;
          return -1;
        }
        run += digit << symbol;
        digit <<= 1;
        continue;
      }
      if (run != 0) {
        if (<u32>count + run > <u32>blockLimit) {
          bitAt = at;
          return -1;
        }
        const byte: u32 = load<u8>(recent);
        const tally = COUNTS + (<usize>byte << 2);
        store<u32>(tally, load<u32>(tally) + run);
        for (const end = <u32>count + run; <u32>count < end; count++) store<u32>(links + (<usize>count << 2), byte);
        run = 0;
        digit = 1;
      }
      if (symbol == endSymbol) {
        bitAt = at;
        return count;
      }
      if (count >= blockLimit) {
        bitAt = at;
        return -1;
      }
      const rank = <usize>symbol - 1;
      const byte: u32 = load<u8>(recent + rank);
      if (rank < 8) for (let back = rank; back > 0; back--) store<u8>(recent + back, load<u8>(recent + back - 1));
      else memory.copy(recent + 1, recent, rank);
      store<u8>(recent, <u8>byte);
      const tally = COUNTS + (<usize>byte << 2);
      store<u32>(tally, load<u32>(tally) + 1);
      store<u32>(links + (<usize>count << 2), byte);
      count++;
    }
  }
  bitAt = at;
  return -1;
}

/** Follows the sorted rotations from the block's own. */
function invert(count: i32, origin: i32): void {
  let sum: u32 = 0;
  for (let value: usize = 0; value < 256; value++) {
    const tally = load<u32>(COUNTS + (value << 2));
    store<u32>(COUNTS + (value << 2), sum);
    sum += tally;
  }
  const links = suffixPtr;
  for (let i: u32 = 0; i < <u32>count; i++) {
    const byte = load<u8>(links + (<usize>i << 2));
    const cursor = COUNTS + (<usize>byte << 2);
    const rank = load<u32>(cursor);
    store<u32>(cursor, rank + 1);
    const link = links + (<usize>rank << 2);
    store<u32>(link, load<u32>(link) | (i << 8));
  }
  let at = load<u32>(links + (<usize>origin << 2)) >> 8;
  for (let i: usize = 0; i < <usize>count; i++) {
    const link = load<u32>(links + (<usize>at << 2));
    store<u8>(blockPtr + i, <u8>link);
    at = link >> 8;
  }
}
