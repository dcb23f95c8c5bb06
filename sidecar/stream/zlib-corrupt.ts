// node:zlib's own errors as ours: bytes that do not decode are CorruptError, trouble of other stages passes through.
import type { Transform } from 'node:stream';
import { CorruptError } from '../../api/errors.ts';

/** Makes a decoder fail with CorruptError where zlib would fail with one of its codes. Returns the same decoder. */
export function corruptOnZlibError(decoder: Transform, format: string): Transform {
  const destroy = decoder._destroy.bind(decoder);
  decoder._destroy = (error, callback) => destroy(isZlibError(error) ? corrupt(error, format) : error, callback);
  return decoder;
}

function corrupt(error: Error, format: string): CorruptError {
  const message = `not whole, clean ${format} content: ${error.message}`;
  return new CorruptError(message, { cause: error, certain: provesDamage(error) });
}

/** Whether the library says that the bytes are wrong, and not that it lacks memory or knows an option not. */
export function provesDamage(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return /^(Z_DATA_ERROR|Z_BUF_ERROR|ZSTD_error_(corruption_detected|checksum_wrong|prefix_unknown|srcSize_wrong))$/.test(
    code,
  );
}

function isZlibError(error: Error | null): error is Error {
  const code = error !== null && 'code' in error ? String(error.code) : '';
  return /^(Z_|ZSTD_error_|ERR_TRAILING_JUNK)/.test(code);
}
