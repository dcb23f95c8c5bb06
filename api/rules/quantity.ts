// Kubernetes quantities (`500m`, `1Gi`, `1e3`), exactly.

const GRAMMAR = /^([+-]?)(\d*)(?:\.(\d*))?(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?$/;

const BINARY: readonly string[] = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };

/** Smallest unit that is kept: more digits than a quantity of Kubernetes can have. */
const SCALE = 30;
const MAX_EXPONENT = 30;
const MAX_LENGTH = 40;

/** A number that orders quantities, in units of 10⁻³⁰; undefined for what is none, or far out of any range. */
export function parseQuantity(quantity: string | number): bigint | undefined {
  const text = String(quantity);
  if (text.length > MAX_LENGTH) return undefined;
  const [, sign, whole = '', fraction = '', binary, decimal, written] = GRAMMAR.exec(text) ?? [];
  if (sign === undefined || whole + fraction === '') return undefined;
  const exponent = Number(written ?? DECIMAL[decimal ?? ''] ?? 0);
  if (Math.abs(exponent) > MAX_EXPONENT) return undefined;
  const power = SCALE + exponent - fraction.length;
  if (power < 0) return undefined;
  const factor = binary === undefined ? 1n : 1024n ** BigInt(BINARY.indexOf(binary) + 1);
  const value = BigInt(whole + fraction) * 10n ** BigInt(power) * factor;
  return sign === '-' ? -value : value;
}
