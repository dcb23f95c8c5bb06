// Sorting all rotations of a block in time linear in its length, whatever it holds.
//
// Rotations of a text that begins with its least rotation are in the same order as its suffixes (a Lyndon word, or a power
// of one, is less than every other suffix of itself). So the block is turned to its least rotation, and its suffixes are
// sorted by induction (Nong, Zhang, Chan 2009): a suffix is S when it is less than the one that follows, else L; an S
// behind an L is LMS; sorted LMS suffixes give all L suffixes in one pass upwards, and those all S in one pass downwards.
// Within a bucket (suffixes with one first byte) L come before S, so the type of an entry is told by its place; as the
// text's first byte is its least, and its last is greater, a guard byte equal to the last spares all tests for the start.
import { blockPtr, columnPtr, lmsPtr, suffixPtr, textPtr } from './memory';
import { sortReduced } from './reduced';

const STARTS: usize = memory.data(1024);
const ENDS: usize = memory.data(1024);
/** Where the L part of a bucket ends and its S part begins. */
const MIDDLES: usize = memory.data(1024);
const LMS_COUNTS: usize = memory.data(1024);
/** Two for each byte: L, S. */
const TYPE_COUNTS: usize = memory.data(2048);
/** Moving ends of the parts of buckets. */
const CURSORS: usize = memory.data(1024);

/** Fills the column with the last bytes of the block's sorted rotations; returns the rank of the block itself. */
export function sortRotations(size: i32): i32 {
  const start = leastRotation(size);
  const head = <usize>(size - start);
  memory.copy(textPtr, blockPtr + <usize>start, head);
  memory.copy(textPtr + head, blockPtr, <usize>start);
  store<u8>(textPtr - 1, load<u8>(textPtr + <usize>size - 1));
  if (load<u8>(textPtr) == load<u8>(textPtr + <usize>size - 1)) {
    // Only a text of one repeated byte has a least rotation that ends with its first byte.
    memory.copy(columnPtr, textPtr, <usize>size);
    return 0;
  }
  const lmsCount = classify(size);
  placeAllLms(lmsCount);
  induceL(size);
  collectSortedLms(size, lmsCount);
  const names = nameLms(size, lmsCount);
  rankLms(size, lmsCount, names);
  placeSortedLms(lmsCount);
  induceL(size);
  return induceColumn(start == 0 ? 0 : size - start);
}

/** Two candidates are compared; the one that loses is moved behind all that it has been compared with. */
function leastRotation(size: i32): i32 {
  let best = 0;
  let other = 1;
  let length = 0;
  while (other < size && length < size) {
    let left = best + length;
    let right = other + length;
    if (left >= size) left -= size;
    if (right >= size) right -= size;
    const a = load<u8>(blockPtr + <usize>left);
    const b = load<u8>(blockPtr + <usize>right);
    if (a == b) {
      length++;
      continue;
    }
    if (a > b) {
      // All starts up to best + length lose as well.
      const next = best + length + 1;
      best = other;
      other = max(next, other + 1);
    } else {
      other += length + 1;
    }
    length = 0;
  }
  return best;
}

/** Counts the types by first byte, lists the LMS positions in text order, finds the parts of all buckets. */
function classify(size: i32): i32 {
  memory.fill(TYPE_COUNTS, 0, 2048);
  memory.fill(LMS_COUNTS, 0, 1024);
  const text = textPtr;
  const last = lmsPtr + ((<usize>size >> 1) << 2);
  let list = last;
  let following: u32 = load<u8>(text + <usize>size - 1);
  let followingIsS: u32 = 0;
  bump(TYPE_COUNTS + (<usize>following << 3));
  for (let i = size - 2; i >= 0; i--) {
    const byte: u32 = load<u8>(text + <usize>i);
    const isS = u32(byte < following) | (u32(byte == following) & followingIsS);
    bump(TYPE_COUNTS + (<usize>byte << 3) + (<usize>isS << 2));
    // Written always, kept when an S follows an L: no branch to mispredict.
    const isLms = followingIsS & (isS ^ 1);
    store<i32>(list, i + 1);
    list -= <usize>isLms << 2;
    const count = LMS_COUNTS + (<usize>following << 2);
    store<u32>(count, load<u32>(count) + isLms);
    following = byte;
    followingIsS = isS;
  }
  const lmsCount = <i32>((last - list) >> 2);
  memory.copy(lmsPtr, list + 4, <usize>lmsCount << 2);
  let at = 0;
  for (let byte: usize = 0; byte < 256; byte++) {
    store<i32>(STARTS + (byte << 2), at);
    at += load<i32>(TYPE_COUNTS + (byte << 3));
    store<i32>(MIDDLES + (byte << 2), at);
    at += load<i32>(TYPE_COUNTS + (byte << 3) + 4);
    store<i32>(ENDS + (byte << 2), at);
  }
  return lmsCount;
}

// @ts-ignore: decorator
@inline
function bump(count: usize): void {
  store<u32>(count, load<u32>(count) + 1);
}

function placeAllLms(lmsCount: i32): void {
  memory.copy(CURSORS, ENDS, 1024);
  for (let i = 0; i < lmsCount; i++) {
    const position = load<i32>(lmsPtr + (<usize>i << 2));
    pushDown(load<u8>(textPtr + <usize>position), position);
  }
}

// @ts-ignore: decorator
@inline
function pushDown(byte: u32, position: i32): void {
  const cursor = CURSORS + (<usize>byte << 2);
  const rank = load<i32>(cursor) - 1;
  store<i32>(cursor, rank);
  store<i32>(suffixPtr + (<usize>rank << 2), position);
}

// @ts-ignore: decorator
@inline
function pushUp(byte: u32, position: i32): void {
  const cursor = CURSORS + (<usize>byte << 2);
  const rank = load<i32>(cursor);
  store<i32>(cursor, rank + 1);
  store<i32>(suffixPtr + (<usize>rank << 2), position);
}

/** From the LMS suffixes at the ends of their buckets to all L suffixes. */
function induceL(size: i32): void {
  memory.copy(CURSORS, STARTS, 1024);
  const before = textPtr - 1;
  pushUp(load<u8>(before + <usize>size), size - 1);
  for (let byte: u32 = 0; byte < 256; byte++) {
    const cursor = CURSORS + (<usize>byte << 2);
    // The part grows while it is read.
    for (let rank = load<i32>(STARTS + (<usize>byte << 2)); rank < load<i32>(cursor); rank++) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      const previous: u32 = load<u8>(before + <usize>position);
      if (previous >= byte) pushUp(previous, position - 1);
    }
    const end = load<i32>(ENDS + (<usize>byte << 2));
    for (let rank = end - load<i32>(LMS_COUNTS + (<usize>byte << 2)); rank < end; rank++) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      pushUp(load<u8>(before + <usize>position), position - 1);
    }
  }
}

/** From the L suffixes to all S; the LMS among them are listed, sorted by their substrings, at the end of the array. */
function collectSortedLms(size: i32, lmsCount: i32): void {
  memory.copy(CURSORS, ENDS, 1024);
  const before = textPtr - 1;
  // The list grows downwards, never past what is being read.
  let list = suffixPtr + (<usize>size << 2);
  for (let byte: i32 = 255; byte >= 0; byte--) {
    const start = load<i32>(STARTS + (<usize>byte << 2));
    const middle = load<i32>(MIDDLES + (<usize>byte << 2));
    let rank = load<i32>(ENDS + (<usize>byte << 2)) - 1;
    for (; rank >= middle; rank--) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      const previous = <i32>load<u8>(before + <usize>position);
      if (previous <= byte) pushDown(previous, position - 1);
      else if (position != 0) {
        list -= 4;
        store<i32>(list, position);
      }
    }
    for (; rank >= start; rank--) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      const previous = <i32>load<u8>(before + <usize>position);
      if (previous < byte) pushDown(previous, position - 1);
    }
  }
  if (list != suffixPtr + (<usize>(size - lmsCount) << 2)) unreachable();
}

/** Equal LMS substrings get one name, in their order; names lie at half their position. Returns how many there are. */
function nameLms(size: i32, lmsCount: i32): i32 {
  if (lmsCount == 0) return 0;
  const names = suffixPtr;
  const sorted = suffixPtr + (<usize>(size - lmsCount) << 2);
  let position = load<i32>(lmsPtr);
  for (let i = 1; i < lmsCount; i++) {
    const next = load<i32>(lmsPtr + (<usize>i << 2));
    store<i32>(names + ((<usize>position >> 1) << 2), next - position + 1);
    position = next;
  }
  // The last one ends at the end of the text and equals no other.
  store<i32>(names + ((<usize>position >> 1) << 2), -1);
  let count = 0;
  let previous: usize = 0;
  let previousLength = 0;
  for (let i = 0; i < lmsCount; i++) {
    const at = <usize>load<i32>(sorted + (<usize>i << 2));
    const name = names + ((at >> 1) << 2);
    const length = load<i32>(name);
    if (length != previousLength || length < 0 || !equalBytes(textPtr + at, textPtr + previous, length)) count++;
    store<i32>(name, count - 1);
    previous = at;
    previousLength = length;
  }
  return count;
}

/** The bytes behind the shorter of both texts are still inside the memory, so words may be read past them. */
function equalBytes(a: usize, b: usize, length: i32): bool {
  while (length >= 8) {
    if (load<u64>(a) != load<u64>(b)) return false;
    a += 8;
    b += 8;
    length -= 8;
  }
  if (length == 0) return true;
  return (load<u64>(a) ^ load<u64>(b)) << (<u64>(8 - length) << 3) == 0;
}

/** The names in text order are a string of their own; its sorted suffixes are the sorted LMS suffixes. */
function rankLms(size: i32, lmsCount: i32, names: i32): void {
  const reduced = suffixPtr + (<usize>(size - lmsCount) << 2);
  for (let i: usize = 0; i < <usize>lmsCount; i++) {
    const position = <usize>load<i32>(lmsPtr + (i << 2));
    store<i32>(reduced + (i << 2), load<i32>(suffixPtr + ((position >> 1) << 2)));
  }
  sortReduced(reduced, suffixPtr, lmsCount, names);
  for (let i: usize = 0; i < <usize>lmsCount; i++) {
    const order = <usize>load<i32>(suffixPtr + (i << 2));
    store<i32>(suffixPtr + (i << 2), load<i32>(lmsPtr + (order << 2)));
  }
}

/** Downwards: no suffix moves to a lower rank than it had among the LMS suffixes. */
function placeSortedLms(lmsCount: i32): void {
  memory.copy(CURSORS, ENDS, 1024);
  for (let i = lmsCount - 1; i >= 0; i--) {
    const position = load<i32>(suffixPtr + (<usize>i << 2));
    pushDown(load<u8>(textPtr + <usize>position), position);
  }
}

/** From the L suffixes to all S, and of each rank the byte before it; returns the rank of the suffix `origin`. */
function induceColumn(origin: i32): i32 {
  memory.copy(CURSORS, ENDS, 1024);
  const before = textPtr - 1;
  const column = columnPtr;
  let rankOfOrigin = 0;
  for (let byte: i32 = 255; byte >= 0; byte--) {
    const start = load<i32>(STARTS + (<usize>byte << 2));
    const middle = load<i32>(MIDDLES + (<usize>byte << 2));
    let rank = load<i32>(ENDS + (<usize>byte << 2)) - 1;
    for (; rank >= middle; rank--) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      const previous = <i32>load<u8>(before + <usize>position);
      store<u8>(column + <usize>rank, <u8>previous);
      if (position == origin) rankOfOrigin = rank;
      if (previous <= byte) pushDown(previous, position - 1);
    }
    for (; rank >= start; rank--) {
      const position = load<i32>(suffixPtr + (<usize>rank << 2));
      const previous = <i32>load<u8>(before + <usize>position);
      store<u8>(column + <usize>rank, <u8>previous);
      if (position == origin) rankOfOrigin = rank;
      if (previous < byte) pushDown(previous, position - 1);
    }
  }
  return rankOfOrigin;
}
