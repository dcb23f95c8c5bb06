// A block of symbols as bits: two to six codes, each for the groups of 50 symbols that it suits best.
import { codeLengths } from './codes';
import { columnPtr, packedLimit, packedPtr, suffixPtr } from './memory';
import { alphabetSize, FREQUENCIES, symbolCount, USED } from './symbols';

const GROUP: i32 = 50;
const ROUNDS = 4;
/** 8 lanes of 16 bits for each symbol, one for each code: its length in bits. */
const LENGTHS: usize = memory.data(258 * 16, 16);
/** For each code 258 frequencies. */
const TALLIES: usize = memory.data(6 * 258 * 4);
/** For each code 258 words: code in the upper 24 bits, length in the lower 8. */
const CODES: usize = memory.data(6 * 258 * 4);

let codeCount: i32 = 0;
let groupCount: i32 = 0;

// Bits not yet stored lie at the lower end of `pending`.
let out: usize = 0;
let pending: u64 = 0;
let pendingBits: u32 = 0;

/** Packs the symbols of a block with its checksum and the rank of its first rotation; returns its length in bits. */
export function packBlock(checksum: u32, origin: i32): i32 {
  chooseCodes();
  makeCodes();
  out = packedPtr;
  pending = 0;
  pendingBits = 0;
  putBits(24, 0x314159);
  putBits(24, 0x265359);
  putBits(16, checksum >> 16);
  putBits(16, checksum & 0xffff);
  putBits(1, 0);
  putBits(24, <u32>origin);
  putUsed();
  putSelectors();
  putLengths();
  putSymbols();
  const bits = <i32>((out - packedPtr) << 3) + <i32>pendingBits;
  store<u32>(out, bswap(<u32>(pending << (32 - pendingBits))));
  return bits;
}

/** Alternates between giving each group the code that is shortest for it and fitting the codes to their groups. */
function chooseCodes(): void {
  codeCount = symbolCount < 200 ? 2 : symbolCount < 600 ? 3 : symbolCount < 1200 ? 4 : symbolCount < 2400 ? 5 : 6;
  groupCount = (symbolCount + GROUP - 1) / GROUP;
  const selectors = columnPtr;
  firstLengths();
  for (let round = 0; round < ROUNDS; round++) {
    memory.fill(TALLIES, 0, 6 * 258 * 4);
    for (let group = 0; group < groupCount; group++) {
      const from = suffixPtr + <usize>(group * GROUP * 2);
      const end = suffixPtr + <usize>(min((group + 1) * GROUP, symbolCount) * 2);
      let sums = i16x8.splat(0);
      for (let at = from; at < end; at += 2) {
        sums = i16x8.add(sums, v128.load(LENGTHS + (<usize>load<u16>(at) << 4)));
      }
      const code = shortest(sums);
      store<u8>(selectors + <usize>group, <u8>code);
      const tally = TALLIES + <usize>(code * 258 * 4);
      for (let at = from; at < end; at += 2) {
        const count = tally + (<usize>load<u16>(at) << 2);
        store<u32>(count, load<u32>(count) + 1);
      }
    }
    for (let code = 0; code < codeCount; code++) {
      codeLengths(TALLIES + <usize>(code * 258 * 4), alphabetSize, LENGTHS + <usize>(code * 2), 16);
    }
  }
}

/** To begin with each code is short for its own share of the alphabet, of about equal weight, and long for the rest. */
function firstLengths(): void {
  memory.fill(LENGTHS, 0, 258 * 16);
  let left = symbolCount;
  let symbol = 0;
  for (let code = 0; code < codeCount; code++) {
    const target = left / (codeCount - code);
    const begin = symbol;
    let weight = 0;
    while (symbol < alphabetSize && (weight < target || symbol == begin)) {
      weight += load<i32>(FREQUENCIES + (<usize>symbol << 2));
      symbol++;
    }
    left -= weight;
    for (let other = 0; other < alphabetSize; other++) {
      const inside = other >= begin && other < symbol;
      store<u16>(LENGTHS + (<usize>other << 4) + <usize>(code << 1), inside ? 0 : 15);
    }
  }
}

function shortest(sums: v128): i32 {
  let best = 0;
  let bits: u32 = i16x8.extract_lane_u(sums, 0);
  let other: u32 = i16x8.extract_lane_u(sums, 1);
  if (other < bits) {
    bits = other;
    best = 1;
  }
  if (codeCount > 2 && (other = i16x8.extract_lane_u(sums, 2)) < bits) {
    bits = other;
    best = 2;
  }
  if (codeCount > 3 && (other = i16x8.extract_lane_u(sums, 3)) < bits) {
    bits = other;
    best = 3;
  }
  if (codeCount > 4 && (other = i16x8.extract_lane_u(sums, 4)) < bits) {
    bits = other;
    best = 4;
  }
  if (codeCount > 5 && <u32>i16x8.extract_lane_u(sums, 5) < bits) best = 5;
  return best;
}

/** Codes of one length follow each other in the order of their symbols. */
function makeCodes(): void {
  for (let code = 0; code < codeCount; code++) {
    let bits: u32 = 0;
    for (let length: u32 = 1; length <= 20; length++) {
      for (let symbol = 0; symbol < alphabetSize; symbol++) {
        if (lengthOf(code, symbol) != length) continue;
        store<u32>(CODES + <usize>((code * 258 + symbol) << 2), (bits << 8) | length);
        bits++;
      }
      bits <<= 1;
    }
  }
}

// @ts-ignore: decorator
@inline
function lengthOf(code: i32, symbol: i32): u32 {
  return load<u16>(LENGTHS + (<usize>symbol << 4) + <usize>(code << 1));
}

function putBits(count: u32, value: u32): void {
  pending = (pending << count) | value;
  pendingBits += count;
  if (pendingBits >= 32) {
    pendingBits -= 32;
    store<u32>(out, bswap(<u32>(pending >> pendingBits)));
    out += 4;
  }
}

/** Which byte values occur: 16 bits for the ranges of 16, then 16 bits for each range that has some. */
function putUsed(): void {
  for (let range = -1; range < 16; range++) {
    let bits: u32 = 0;
    let any = false;
    for (let i = 0; i < 16; i++) {
      const used = range < 0 ? rangeBits(i) != 0 : load<u8>(USED + <usize>(range * 16 + i)) != 0;
      bits = (bits << 1) | u32(used);
      any = any || used;
    }
    if (any) putBits(16, bits);
  }
}

function rangeBits(range: i32): u32 {
  let any: u32 = 0;
  for (let i = 0; i < 16; i++) any |= load<u8>(USED + <usize>(range * 16 + i));
  return any;
}

/** Which code each group has: move to front, in unary. */
function putSelectors(): void {
  putBits(3, <u32>codeCount);
  putBits(15, <u32>groupCount);
  let recent: u64 = 0x050403020100;
  for (let group = 0; group < groupCount; group++) {
    const code: u64 = load<u8>(columnPtr + <usize>group);
    let rank: u32 = 0;
    while (((recent >> (rank << 3)) & 255) != code) rank++;
    const upTo = (<u64>1 << ((rank + 1) << 3)) - 1;
    recent = (recent & ~upTo) | ((recent << 8) & upTo) | code;
    putBits(rank + 1, ((<u32>1 << rank) - 1) << 1);
  }
}

/** Lengths as steps from the one before. */
function putLengths(): void {
  for (let code = 0; code < codeCount; code++) {
    let current = lengthOf(code, 0);
    putBits(5, current);
    for (let symbol = 0; symbol < alphabetSize; symbol++) {
      const length = lengthOf(code, symbol);
      for (; current < length; current++) putBits(2, 2);
      for (; current > length; current--) putBits(2, 3);
      putBits(1, 0);
    }
  }
}

function putSymbols(): void {
  // Locals: globals would be stored for each symbol.
  let bits = pending;
  let count = pendingBits;
  let to = out;
  const limit = packedPtr + <usize>packedLimit - 512;
  for (let group = 0; group < groupCount; group++) {
    if (to > limit) unreachable();
    const codes = CODES + <usize>(<i32>load<u8>(columnPtr + <usize>group) * 258 * 4);
    const end = suffixPtr + <usize>(min((group + 1) * GROUP, symbolCount) * 2);
    for (let at = suffixPtr + <usize>(group * GROUP * 2); at < end; at += 2) {
      const code = load<u32>(codes + (<usize>load<u16>(at) << 2));
      const length = code & 255;
      bits = (bits << length) | (code >> 8);
      count += length;
      if (count >= 32) {
        count -= 32;
        store<u32>(to, bswap(<u32>(bits >> count)));
        to += 4;
      }
    }
  }
  pending = bits;
  pendingBits = count;
  out = to;
}
