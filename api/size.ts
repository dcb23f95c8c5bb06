// Barman's syntax of sizes (object-store-layout.md §5.5). Pure.
const UNITS = 'KMGTPEZY';
const WITH_UNIT = /^(\d+(?:\.\d*)?|\.\d+)([KMGTPEZY])(i?)B$/i;
const BYTES = /^(\d+)B?$/i;

/**
 * Bytes of a size: `5MB` counts in 1024, `5MiB` in 1000 (sic), `5` and `5B` are bytes, `5M` is none. Undefined for what
 * is not a size, or not one that a number can hold exactly.
 */
export function parseSizeBytes(text: string): number | undefined {
  const trimmed = text.trim();
  const plain = BYTES.exec(trimmed)?.[1];
  const [, number, unit = '', metric] = WITH_UNIT.exec(trimmed) ?? [];
  const base = metric === '' ? 1024 : 1000;
  const sizeBytes =
    plain === undefined ? Math.floor(Number(number) * base ** (UNITS.indexOf(unit.toUpperCase()) + 1)) : Number(plain);
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}
