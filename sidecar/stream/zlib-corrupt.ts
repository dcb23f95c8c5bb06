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
  return new CorruptError(`not whole, clean ${format} content: ${error.message}`, { cause: error });
}

function isZlibError(error: Error | null): error is Error {
  const code = error !== null && 'code' in error ? String(error.code) : '';
  return /^(Z_|ZSTD_error_|ERR_TRAILING_JUNK)/.test(code);
}
