// A store that stands still at one exact request: for processes that are to be killed there.
import type { Fault, FaultProxy, Seen } from '../servers/fault-proxy.ts';

/** Where in a writing request: before the store has heard of it, in the middle of its body, or with its answer on the way. */
export type Moment = 'not heard' | 'half heard' | 'not answered';

export const MOMENTS = ['not heard', 'half heard', 'not answered'] as const;

/**
 * Lets requests pass until the given one of those that count, and then nothing more, unless `restPasses`; settles when it
 * stands.
 */
export function standStillAt(
  proxy: FaultProxy,
  point: { counts?: (seen: Seen) => boolean; number: number; how: (seen: Seen) => Fault; restPasses?: boolean },
): Promise<Seen> {
  const reached = Promise.withResolvers<Seen>();
  let counted = 0;
  let stands = false;
  proxy.decide((seen) => {
    if (stands) return point.restPasses === true ? { kind: 'pass' } : { kind: 'hold' };
    if (point.counts?.(seen) ?? true) counted += 1;
    if (counted < point.number) return { kind: 'pass' };
    stands = true;
    reached.resolve(seen);
    return point.how(seen);
  });
  return reached.promise;
}

/** Everything passes again. What is held stays so: whoever asked is gone. */
export function goOn(proxy: FaultProxy): void {
  proxy.decide(() => ({ kind: 'pass' }));
}

/** What a writing request meets. */
export function faultAt(moment: Moment, seen: Seen): Fault {
  const bodyBytes = Number(seen.headers['content-length'] ?? 0);
  if (moment === 'half heard' && bodyBytes > 1) return { kind: 'cut-request', afterBytes: Math.floor(bodyBytes / 2) };
  return moment === 'not answered' ? { kind: 'keep-answer' } : { kind: 'hold' };
}
