// Where everything lies. Sizes follow the largest block, which `prepare` fixes once; memory is grown to fit and no more.

/** Largest block after its first run-length step, bytes. */
export let blockLimit: i32 = 0;
/** The block as the stream counts it: bytes after the first run-length step. */
export let blockPtr: usize = 0;
/** The block turned to its least rotation, with room before it for one guard byte. */
export let textPtr: usize = 0;
/** Suffix array; the inverse transform's links; before and after that the MTF symbols. */
export let suffixPtr: usize = 0;
/** Positions of the text's LMS suffixes in text order: at most one for two bytes. */
export let lmsPtr: usize = 0;
/** Buckets of the reduced strings, one level after the other. */
export let bucketsPtr: usize = 0;
/** The last column of the sorted rotations. */
export let columnPtr: usize = 0;
/** The packed block. */
export let packedPtr: usize = 0;
/** Room for a packed block, bytes. */
export let packedLimit: i32 = 0;

const PAGE_BYTES: usize = 65536;
const MARGIN: usize = 64;

/** Lays out the memory for blocks of up to `limit` bytes. */
export function layOut(limit: i32): void {
  const n = <usize>limit;
  blockLimit = limit;
  // Incompressible bytes cost little more than 8 bits each; what cannot be packed in this room does not exist.
  packedLimit = limit + (limit >> 2) + 65536;
  let at: usize = (__heap_base + 15) & ~15;
  blockPtr = at;
  at = after(at, n);
  textPtr = at + MARGIN;
  at = after(textPtr, n);
  suffixPtr = at;
  at = after(at, n * 4);
  lmsPtr = at;
  at = after(at, n * 2);
  columnPtr = at;
  at = after(at, n);
  packedPtr = at;
  at = after(at, <usize>packedLimit);
  bucketsPtr = at;
  at = after(at, n * 8);
  const pages = <i32>((at + PAGE_BYTES - 1) / PAGE_BYTES) - memory.size();
  if (pages > 0 && memory.grow(pages) < 0) unreachable();
}

function after(start: usize, size: usize): usize {
  return (start + size + MARGIN + 15) & ~15;
}
