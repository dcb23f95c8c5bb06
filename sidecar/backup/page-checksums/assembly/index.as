// Checks many pages of PostgreSQL in one call. The checksum of a page (storage/checksum_impl.h, one algorithm since 9.3):
// the page is a table of 64 rows of 32 words; each column is hashed alone, beginning with an offset of its own, with a
// step derived from FNV-1a; two rows of zeros follow; the columns are joined by xor, then the block number; what is left
// after division by 65535, plus 1, is the checksum. Its own field counts as zero.

const PAGE_BYTES: usize = 8192;
const ROW_BYTES: usize = 128;
const PAGE_LIMIT: i32 = 128;
const FNV_PRIME: i32 = 16777619;

/** Fields of a page's header: two halves of the LSN, the checksum, the end of free space (0: never initialised). */
const LSN_HIGH: usize = 0;
const LSN_LOW: usize = 4;
const CHECKSUM: usize = 8;
const UPPER: usize = 14;

/** Page in the piece, checksum that it should have, checksum that it has: three words each. */
const BAD_BYTES: usize = 12;

const PAGES: usize = memory.data(1048576, 16);
const BAD: usize = memory.data(1536, 16);

export function pagesAddress(): usize {
  return PAGES;
}

export function badAddress(): usize {
  return BAD;
}

/** How many pages there is room for. */
export function pageLimit(): i32 {
  return PAGE_LIMIT;
}

/**
 * Looks at the first `count` pages, numbered from `firstBlock` in their relation; those with an LSN from the start LSN
 * on are not judged. Returns the number of bad ones, which are listed at the address of the bad. Spoils the pages.
 */
export function check(count: i32, firstBlock: u32, startHigh: u32, startLow: u32): i32 {
  const start = ((<u64>startHigh) << 32) | <u64>startLow;
  let bad = 0;
  for (let i = 0; i < count; i++) {
    const page = PAGES + <usize>i * PAGE_BYTES;
    const lsn = ((<u64>load<u32>(page + LSN_HIGH)) << 32) | <u64>load<u32>(page + LSN_LOW);
    if (lsn >= start) continue;
    const isNew = load<u16>(page + UPPER) == 0;
    if (isNew && isZero(page)) continue;
    const found: u32 = load<u16>(page + CHECKSUM);
    store<u16>(page + CHECKSUM, 0);
    const expected = checksum(page, firstBlock + <u32>i);
    if (expected == found && !isNew) continue;
    const entry = BAD + <usize>bad * BAD_BYTES;
    store<u32>(entry, <u32>i);
    store<u32>(entry + 4, expected);
    store<u32>(entry + 8, found);
    bad++;
  }
  return bad;
}

function isZero(page: usize): bool {
  let seen = i64x2.splat(0);
  for (let at: usize = 0; at < PAGE_BYTES; at += 16) seen = v128.or(seen, v128.load(page + at));
  return !v128.any_true(seen);
}

function checksum(page: usize, block: u32): u32 {
  let a = i32x4(0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a);
  let b = i32x4(0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c);
  let c = i32x4(0xf8d4474f, 0xe39eb970, 0x42c6ae16, 0x993216fa);
  let d = i32x4(0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb);
  let e = i32x4(0xe58f764b, 0x187636bc, 0x5d7b3bb1, 0xe73de7de);
  let f = i32x4(0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4);
  let g = i32x4(0x783125bb, 0x6ca8eaa2, 0xe407eac6, 0x4b5cfc3e);
  let h = i32x4(0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756);
  const end = page + PAGE_BYTES;
  for (let row = page; row < end; row += ROW_BYTES) {
    a = step(a, v128.load(row));
    b = step(b, v128.load(row, 16));
    c = step(c, v128.load(row, 32));
    d = step(d, v128.load(row, 48));
    e = step(e, v128.load(row, 64));
    f = step(f, v128.load(row, 80));
    g = step(g, v128.load(row, 96));
    h = step(h, v128.load(row, 112));
  }
  const left = v128.xor(v128.xor(finish(a), finish(b)), v128.xor(finish(c), finish(d)));
  const right = v128.xor(v128.xor(finish(e), finish(f)), v128.xor(finish(g), finish(h)));
  const four = v128.xor(left, right);
  const word = <u32>(
    (i32x4.extract_lane(four, 0) ^
      i32x4.extract_lane(four, 1) ^
      i32x4.extract_lane(four, 2) ^
      i32x4.extract_lane(four, 3))
  );
  return ((word ^ block) % 65535) + 1;
}

// @ts-ignore: decorator
@inline
function step(sum: v128, value: v128): v128 {
  const mixed = v128.xor(sum, value);
  return v128.xor(i32x4.mul(mixed, i32x4.splat(FNV_PRIME)), i32x4.shr_u(mixed, 17));
}

/** The two rows of zeros: the last words of the page reach all bits. */
// @ts-ignore: decorator
@inline
function finish(sum: v128): v128 {
  const zero = i32x4.splat(0);
  return step(step(sum, zero), zero);
}
