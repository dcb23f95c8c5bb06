// The compiled page check (pages.wasm, made from assembly/index.as by build.ts): a piece of many pages in one call.
import { readFileSync } from 'node:fs';

/** The only block size that is checked; PostgreSQL's default, which all packages keep. */
export const PAGE_BYTES = 8192;

/** A page that does not verify: its place in the piece, the checksum that it should have and the one that it has. */
export type BadPage = { index: number; expected: number; found: number };

export type PageVerifier = {
  /**
   * The bad ones among the whole pages of `pages`, numbered from `firstBlock` in their relation. A page whose LSN is
   * `startLsn` or later is never bad; one that was never initialised is bad unless it is all zeros, as PostgreSQL
   * itself refuses to read it. What follows the last whole page is not looked at. `pages` stay as they are.
   */
  findBad(pages: Uint8Array, firstBlock: number, startLsn: bigint): BadPage[];
};

type Exports = {
  memory: WebAssembly.Memory;
  pagesAddress(): number;
  badAddress(): number;
  pageLimit(): number;
  check(count: number, firstBlock: number, startHigh: number, startLow: number): number;
};

const BAD_WORDS = 3;

/** Loads the module. It holds 1.1 MiB; nothing is kept between two calls, so that one serves all files of a backup. */
export function createPageVerifier(): PageVerifier {
  const module = new WebAssembly.Module(readFileSync(new URL('./pages.wasm', import.meta.url)));
  const wasm = new WebAssembly.Instance(module).exports as Exports;
  const limit = wasm.pageLimit();
  const room = new Uint8Array(wasm.memory.buffer, wasm.pagesAddress(), limit * PAGE_BYTES);
  const list = new Uint32Array(wasm.memory.buffer, wasm.badAddress(), limit * BAD_WORDS);
  return {
    findBad(pages, firstBlock, startLsn) {
      const bad: BadPage[] = [];
      const count = Math.floor(pages.length / PAGE_BYTES);
      const [high, low] = [Number(startLsn >> 32n), Number(startLsn & 0xffff_ffffn)];
      for (let first = 0; first < count; first += limit) {
        const here = Math.min(limit, count - first);
        room.set(pages.subarray(first * PAGE_BYTES, (first + here) * PAGE_BYTES));
        const badHere = wasm.check(here, firstBlock + first, high, low);
        for (let at = 0; at < badHere * BAD_WORDS; at += BAD_WORDS) {
          const [index = 0, expected = 0, found = 0] = list.subarray(at, at + BAD_WORDS);
          bad.push({ index: first + index, expected, found });
        }
      }
      return bad;
    },
  };
}
