// Sorting the suffixes of a string of whole numbers by induction: the levels below the text. The same steps as in
// rotations.as, with an end that is less than every number in place of the least rotation. Zero marks an empty place: the
// suffix at position 0 induces nothing, so it may look like one.
import { bucketsPtr } from './memory';

/** Sorts the `size` suffixes at `text` (values 0 to `limit` - 1) into `suffixes`. */
export function sortReduced(text: usize, suffixes: usize, size: i32, limit: i32): void {
  sortLevel(text, suffixes, size, limit, bucketsPtr);
}

function sortLevel(text: usize, suffixes: usize, size: i32, limit: i32, counts: usize): void {
  if (limit == size) {
    for (let i = 0; i < size; i++) put(suffixes, at(text, i), i);
    return;
  }
  const cursors = counts + (<usize>limit << 2);
  memory.fill(counts, 0, <usize>limit << 2);
  for (let i = 0; i < size; i++) {
    const count = counts + (<usize>at(text, i) << 2);
    store<i32>(count, load<i32>(count) + 1);
  }

  memory.fill(suffixes, 0, <usize>size << 2);
  findEnds(counts, cursors, limit);
  const lmsCount = placeLms(text, suffixes, size, cursors);
  induceL(text, suffixes, size, counts, cursors, limit);
  collectLms(text, suffixes, size, counts, cursors, limit);
  if (lmsCount > 1) {
    const names = nameLms(text, suffixes, size, lmsCount);
    const reduced = suffixes + (<usize>(size - lmsCount) << 2);
    sortLevel(reduced, suffixes, lmsCount, names, cursors + (<usize>limit << 2));
    listLms(text, reduced, size, lmsCount);
    for (let i = 0; i < lmsCount; i++) put(suffixes, i, at(reduced, at(suffixes, i)));
  } else if (lmsCount == 1) {
    put(suffixes, 0, at(suffixes, size - 1));
  }

  memory.fill(suffixes + (<usize>lmsCount << 2), 0, <usize>(size - lmsCount) << 2);
  findEnds(counts, cursors, limit);
  for (let i = lmsCount - 1; i >= 0; i--) {
    const position = at(suffixes, i);
    put(suffixes, i, 0);
    pushDown(suffixes, cursors, at(text, position), position);
  }
  induceL(text, suffixes, size, counts, cursors, limit);
  induceS(text, suffixes, size, counts, cursors, limit);
}

// @ts-ignore: decorator
@inline
function at(array: usize, index: i32): i32 {
  return load<i32>(array + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline
function put(array: usize, index: i32, value: i32): void {
  store<i32>(array + (<usize>index << 2), value);
}

// @ts-ignore: decorator
@inline
function pushDown(suffixes: usize, cursors: usize, value: i32, position: i32): void {
  const rank = at(cursors, value) - 1;
  put(cursors, value, rank);
  put(suffixes, rank, position);
}

// @ts-ignore: decorator
@inline
function pushUp(suffixes: usize, cursors: usize, value: i32, position: i32): void {
  const rank = at(cursors, value);
  put(cursors, value, rank + 1);
  put(suffixes, rank, position);
}

function findEnds(counts: usize, cursors: usize, limit: i32): void {
  let end = 0;
  for (let value = 0; value < limit; value++) {
    end += at(counts, value);
    put(cursors, value, end);
  }
}

function findStarts(counts: usize, cursors: usize, limit: i32): void {
  let start = 0;
  for (let value = 0; value < limit; value++) {
    put(cursors, value, start);
    start += at(counts, value);
  }
}

function placeLms(text: usize, suffixes: usize, size: i32, cursors: usize): i32 {
  let count = 0;
  let following = at(text, size - 1);
  let followingIsS = false;
  for (let i = size - 2; i >= 0; i--) {
    const value = at(text, i);
    const isS = value < following || (value == following && followingIsS);
    if (followingIsS && !isS) {
      pushDown(suffixes, cursors, following, i + 1);
      count++;
    }
    following = value;
    followingIsS = isS;
  }
  return count;
}

/** The LMS positions in text order. */
function listLms(text: usize, list: usize, size: i32, lmsCount: i32): void {
  let left = lmsCount;
  let following = at(text, size - 1);
  let followingIsS = false;
  // The list may take the place of the names, never that of the text.
  for (let i = size - 2; i >= 0; i--) {
    const value = at(text, i);
    const isS = value < following || (value == following && followingIsS);
    if (followingIsS && !isS) put(list, --left, i + 1);
    following = value;
    followingIsS = isS;
  }
}

function induceL(text: usize, suffixes: usize, size: i32, counts: usize, cursors: usize, limit: i32): void {
  findStarts(counts, cursors, limit);
  pushUp(suffixes, cursors, at(text, size - 1), size - 1);
  for (let rank = 0; rank < size; rank++) {
    const position = at(suffixes, rank);
    if (position == 0) continue;
    const previous = at(text, position - 1);
    if (previous >= at(text, position)) pushUp(suffixes, cursors, previous, position - 1);
  }
}

/** As `induceS`; the LMS suffixes are listed, sorted by their substrings, at the end of the array. */
function collectLms(text: usize, suffixes: usize, size: i32, counts: usize, cursors: usize, limit: i32): void {
  findEnds(counts, cursors, limit);
  let list = size;
  for (let rank = size - 1; rank >= 0; rank--) {
    const position = at(suffixes, rank);
    if (position == 0) continue;
    const value = at(text, position);
    const previous = at(text, position - 1);
    const isS = rank >= at(cursors, value);
    if (previous < value || (previous == value && isS)) pushDown(suffixes, cursors, previous, position - 1);
    else if (isS) put(suffixes, --list, position);
  }
}

function induceS(text: usize, suffixes: usize, size: i32, counts: usize, cursors: usize, limit: i32): void {
  findEnds(counts, cursors, limit);
  for (let rank = size - 1; rank >= 0; rank--) {
    const position = at(suffixes, rank);
    if (position == 0) continue;
    const value = at(text, position);
    const previous = at(text, position - 1);
    if (previous < value || (previous == value && rank >= at(cursors, value))) {
      pushDown(suffixes, cursors, previous, position - 1);
    }
  }
}

/** Turns the list at the end of the array into the reduced string at the same place; returns the number of names. */
function nameLms(text: usize, suffixes: usize, size: i32, lmsCount: i32): i32 {
  const sorted = suffixes + (<usize>(size - lmsCount) << 2);
  const half = (size + 1) >> 1;
  // Lengths at half the position; zero where no LMS suffix begins.
  memory.fill(suffixes, 0, <usize>half << 2);
  let next = -1;
  let following = at(text, size - 1);
  let followingIsS = false;
  for (let i = size - 2; i >= 0; i--) {
    const value = at(text, i);
    const isS = value < following || (value == following && followingIsS);
    if (followingIsS && !isS) {
      // The last one ends at the end of the text and equals no other.
      put(suffixes, (i + 1) >> 1, next < 0 ? -1 : next - i);
      next = i + 1;
    }
    following = value;
    followingIsS = isS;
  }
  let count = 0;
  let previous = 0;
  let previousLength = 0;
  for (let i = 0; i < lmsCount; i++) {
    const position = at(sorted, i);
    const length = at(suffixes, position >> 1);
    if (length != previousLength || length < 0 || !equalValues(text, position, previous, length)) count++;
    put(suffixes, position >> 1, count);
    previous = position;
    previousLength = length;
  }
  let left = size;
  for (let i = half - 1; i >= 0; i--) {
    const name = at(suffixes, i);
    if (name != 0) put(suffixes, --left, name - 1);
  }
  return count;
}

function equalValues(text: usize, a: i32, b: i32, length: i32): bool {
  for (let i = 0; i < length; i++) if (at(text, a + i) != at(text, b + i)) return false;
  return true;
}
