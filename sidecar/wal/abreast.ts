// Two pieces of work side by side, of which neither is any use without the other.

/**
 * Runs both; when one fails the other is stopped and waited for, and the first error is thrown. Nothing is left running.
 */
export async function abreast<A, B>(
  signal: AbortSignal,
  left: (signal: AbortSignal) => Promise<A>,
  right: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const stop = new AbortController();
  const shared = AbortSignal.any([signal, stop.signal]);
  const failures: unknown[] = [];
  const guarded = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<{ value: T } | undefined> => {
    try {
      return { value: await work(shared) };
    } catch (error) {
      failures.push(error);
      stop.abort(error);
      return undefined;
    }
  };
  const [first, second] = await Promise.all([guarded(left), guarded(right)]);
  if (first === undefined || second === undefined) throw failures[0];
  return [first.value, second.value];
}
