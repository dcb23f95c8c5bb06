// Huffman codes: lengths of 1 to `LONGEST` bits for the frequencies of a group of symbols.

/** Readers take 20; 17 is as long as the format's own writer makes them, and hardly ever needed. */
const LONGEST: u32 = 17;
/** Symbols by frequency: frequency in the upper 23 bits, symbol in the lower 9. */
const LEAVES: usize = memory.data(258 * 4);
/** Frequencies of inner nodes, which come out in ascending order. */
const INNER: usize = memory.data(258 * 4);
/** For leaves (first 258) and inner nodes (next 258): the inner node above. */
const PARENTS: usize = memory.data(516 * 4);
const DEPTHS: usize = memory.data(258 * 4);

/** Writes the code length of each of the `size` symbols to `lengths`, `stride` bytes apart, as 16-bit numbers. */
export function codeLengths(frequencies: usize, size: i32, lengths: usize, stride: usize): void {
  for (let shift: u32 = 0; ; shift++) {
    for (let symbol = 0; symbol < size; symbol++) {
      // Each symbol needs a code, and halved frequencies make long ones shorter.
      const frequency = (load<u32>(frequencies + (<usize>symbol << 2)) >> shift) + u32(shift > 0);
      store<u32>(LEAVES + (<usize>symbol << 2), (max(frequency, 1) << 9) | <u32>symbol);
    }
    sortLeaves(size);
    if (buildTree(size, lengths, stride) <= LONGEST) return;
  }
}

/** Shell sort: a few hundred numbers, often nearly in order. */
function sortLeaves(size: i32): void {
  for (let gap = size > 40 ? 40 : 4; gap > 0; gap = gap == 40 ? 13 : gap == 13 ? 4 : gap == 4 ? 1 : 0) {
    for (let i = gap; i < size; i++) {
      const leaf = load<u32>(LEAVES + (<usize>i << 2));
      let place = i;
      while (place >= gap) {
        const other = load<u32>(LEAVES + (<usize>(place - gap) << 2));
        if (other <= leaf) break;
        store<u32>(LEAVES + (<usize>place << 2), other);
        place -= gap;
      }
      store<u32>(LEAVES + (<usize>place << 2), leaf);
    }
  }
}

/** The two lightest of both queues become one, until one is left. Returns the greatest depth of a leaf. */
function buildTree(size: i32, lengths: usize, stride: usize): u32 {
  let leaf = 0;
  let inner = 0;
  for (let made = 0; made < size - 1; made++) {
    let weight: u32 = 0;
    for (let pick = 0; pick < 2; pick++) {
      const leafWeight: u32 = leaf < size ? load<u32>(LEAVES + (<usize>leaf << 2)) >> 9 : u32.MAX_VALUE;
      const innerWeight: u32 = inner < made ? load<u32>(INNER + (<usize>inner << 2)) : u32.MAX_VALUE;
      if (leafWeight <= innerWeight) {
        weight += leafWeight;
        store<i32>(PARENTS + (<usize>leaf << 2), made);
        leaf++;
      } else {
        weight += innerWeight;
        store<i32>(PARENTS + 258 * 4 + (<usize>inner << 2), made);
        inner++;
      }
    }
    store<u32>(INNER + (<usize>made << 2), weight);
  }
  const root = size - 2;
  store<u32>(DEPTHS + (<usize>root << 2), 0);
  for (let node = root - 1; node >= 0; node--) {
    const above = load<i32>(PARENTS + 258 * 4 + (<usize>node << 2));
    store<u32>(DEPTHS + (<usize>node << 2), load<u32>(DEPTHS + (<usize>above << 2)) + 1);
  }
  let deepest: u32 = 0;
  for (let i = 0; i < size; i++) {
    const depth = load<u32>(DEPTHS + (<usize>load<i32>(PARENTS + (<usize>i << 2)) << 2)) + 1;
    const symbol = load<u32>(LEAVES + (<usize>i << 2)) & 511;
    store<u16>(lengths + <usize>symbol * stride, <u16>depth);
    deepest = max(deepest, depth);
  }
  return deepest;
}
