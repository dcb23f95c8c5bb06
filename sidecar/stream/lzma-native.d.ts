// The part of lzma-native (liblzma) that xz.ts uses.
declare module 'lzma-native' {
  import type { Transform } from 'node:stream';

  const lzma: {
    CHECK_CRC64: number;
    createStream(coder: 'easyEncoder', options: { preset: number; check: number }): Transform;
    createStream(coder: 'autoDecoder', options: { memlimit?: number }): Transform;
  };
  export default lzma;
}
