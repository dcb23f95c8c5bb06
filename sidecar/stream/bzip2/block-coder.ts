// The compiled block coder (blocks.wasm, made from assembly/*.as by build.ts): one block at a time, in its own memory.
import { readFileSync } from 'node:fs';

/** What became of a block that was to be unpacked; the numbers are those of assembly/unpack.as. */
export const UNPACK_OUTCOMES = ['whole', 'short', 'broken', 'different', 'randomised', 'no block'] as const;
export type UnpackOutcome = (typeof UNPACK_OUTCOMES)[number];

export type PackedBlock = { bits: number; checksum: number };
export type UnpackedBlock = { outcome: UnpackOutcome; sizeBytes: number; endBit: number; checksum: number };

/** Largest block of the format, bytes. */
export const LARGEST_BLOCK_BYTES = 900_000;

/** Room that a block, packed or not, can need, bytes: what layOut of assembly/memory.as calls packedLimit. */
export function blockRoomBytes(limitBytes: number): number {
  return limitBytes + (limitBytes >> 2) + 65_536;
}

type Exports = {
  memory: WebAssembly.Memory;
  prepare(limit: number): void;
  blockAddress(): number;
  packedAddress(): number;
  pack(size: number): number;
  packedChecksum(): number;
  unpack(size: number, bit: number): number;
  unpackedEnd: WebAssembly.Global;
  unpackedSize: WebAssembly.Global;
  unpackedChecksum: WebAssembly.Global;
};

/** Reads and compiles the module; it can be handed to other threads. */
export function loadBlockModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('./blocks.wasm', import.meta.url)));
}

/** Packs and unpacks blocks. Memory: about 19 bytes for each byte of the largest block asked for so far, at most 17 MB. */
export class BlockCoder {
  readonly #exports: Exports;
  #limitBytes = 0;

  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module).exports as Exports;
  }

  /** Packs `sizeBytes` bytes of `room` in place: afterwards it begins with the block's bits, magic number included. */
  pack(room: Uint8Array, sizeBytes: number, limitBytes: number): PackedBlock {
    this.#prepare(limitBytes);
    const wasm = this.#exports;
    this.#view(wasm.blockAddress(), sizeBytes).set(room.subarray(0, sizeBytes));
    const bits = wasm.pack(sizeBytes);
    room.set(this.#view(wasm.packedAddress(), (bits + 7) >> 3));
    return { bits, checksum: wasm.packedChecksum() >>> 0 };
  }

  /** Unpacks the block that begins at `bit` of `room` in place: afterwards it begins with the block's bytes, still in runs. */
  unpack(room: Uint8Array, sizeBytes: number, bit: number): UnpackedBlock {
    this.#prepare(LARGEST_BLOCK_BYTES);
    const wasm = this.#exports;
    this.#view(wasm.packedAddress(), sizeBytes).set(room.subarray(0, sizeBytes));
    const outcome = UNPACK_OUTCOMES[wasm.unpack(sizeBytes, bit)] ?? 'broken';
    const unpackedBytes = outcome === 'whole' ? wasm.unpackedSize.value : 0;
    room.set(this.#view(wasm.blockAddress(), unpackedBytes));
    return {
      outcome,
      sizeBytes: unpackedBytes,
      endBit: wasm.unpackedEnd.value,
      checksum: wasm.unpackedChecksum.value >>> 0,
    };
  }

  #prepare(limitBytes: number): void {
    if (limitBytes <= this.#limitBytes) return;
    this.#exports.prepare(limitBytes);
    this.#limitBytes = limitBytes;
  }

  #view(address: number, sizeBytes: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, address, sizeBytes);
  }
}
