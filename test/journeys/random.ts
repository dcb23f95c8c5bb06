// Numbers that are the same in every run: a test that fails can be run again.

export type Random = {
  /** From `least` to `most`, both among them. */
  integer(least: number, most: number): number;
  pick<T>(items: readonly [T, ...T[]]): T;
};

/** The generator mulberry32. */
export function seededRandom(seed: number): Random {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  return { integer, pick: (items) => items[integer(0, items.length - 1)] ?? items[0] };
}
