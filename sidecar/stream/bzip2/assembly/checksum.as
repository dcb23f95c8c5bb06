// The block's checksum: CRC-32 with polynomial 0x04C11DB7, most significant bit first, over the bytes before the first
// run-length step. Only the packed runs are at hand, so they are walked.

const POLYNOMIAL: u32 = 0x04c11db7;
/** Four tables of 256: the effect of a byte that is followed by 0, 1, 2 or 3 others. */
const TABLES: usize = memory.data(4096);
const RUN: usize = memory.data(256);

export function prepareChecksum(): void {
  for (let value = 0; value < 256; value++) {
    let crc = <u32>value << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc >> 31 ? POLYNOMIAL : 0);
    store<u32>(TABLES + (value << 2), crc);
  }
  for (let value = 0; value < 768; value++) {
    const crc = load<u32>(TABLES + (value << 2));
    store<u32>(TABLES + ((value + 256) << 2), (crc << 8) ^ load<u32>(TABLES + ((crc >> 24) << 2)));
  }
}

/** The checksum of what the `size` bytes at `from`, in which four equal bytes are followed by a count, stand for. */
export function checksumOfRuns(from: usize, size: i32): u32 {
  let crc: u32 = 0xffffffff;
  const end = from + <usize>size;
  let start = from;
  let at = from;
  while (at + 4 <= end) {
    const four = load<u32>(at);
    const changes = (four ^ (four >> 8)) & 0xffffff;
    if (changes != 0) {
      // A run of four begins at the last change seen or after it.
      at += <usize>((31 - clz(changes)) >> 3) + 1;
      continue;
    }
    crc = update(crc, start, at + 4 - start);
    const more: i32 = at + 4 < end ? <i32>load<u8>(at + 4) : 0;
    if (more != 0) {
      memory.fill(RUN, <u8>four, <usize>more);
      crc = update(crc, RUN, <usize>more);
    }
    at += 5;
    start = at;
  }
  if (start < end) crc = update(crc, start, end - start);
  return ~crc;
}

function update(crc: u32, from: usize, size: usize): u32 {
  const end = from + size;
  while (from + 4 <= end) {
    crc ^= bswap(load<u32>(from));
    crc =
      load<u32>(TABLES + 3072 + ((crc >> 24) << 2)) ^
      load<u32>(TABLES + 2048 + (((crc >> 16) & 255) << 2)) ^
      load<u32>(TABLES + 1024 + (((crc >> 8) & 255) << 2)) ^
      load<u32>(TABLES + ((crc & 255) << 2));
    from += 4;
  }
  while (from < end) {
    crc = (crc << 8) ^ load<u32>(TABLES + (((crc >> 24) ^ <u32>load<u8>(from)) << 2));
    from += 1;
  }
  return crc;
}
