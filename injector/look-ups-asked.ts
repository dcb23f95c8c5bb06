// What the admission door may ask of the API server itself, for as long as the API server allows it.
import { PreconditionError } from '../api/errors.ts';
import type { Log } from '../api/wire/log.ts';
import type { LookUpPort } from './kube-look-ups.ts';
import type { LiveLookUps } from './look-ups.ts';

/** Pause before something that was forbidden is asked again. */
const ASK_AGAIN_MS = 5 * 60_000;

const WHAT = { secretKeys: 'Secrets', backup: 'Backups', isNamespaceTerminating: 'Namespaces' } as const;

/**
 * The live look-ups with those that are asked on demand; Secrets only with `secrets`. One that the API server forbids is
 * absent for five minutes, so that its rules are silent, and is logged once until it is allowed again. The object itself
 * changes: look at it anew for each question.
 */
export function withAskedLookUps(
  live: LiveLookUps,
  { port, secrets, log }: { port: LookUpPort; secrets: boolean; log: Log },
): LiveLookUps & Partial<LookUpPort> {
  const lookUps: LiveLookUps & Partial<LookUpPort> = { ...live };
  if (secrets) offer('secretKeys');
  offer('backup');
  offer('isNamespaceTerminating');
  return lookUps;

  function offer(name: keyof LookUpPort): void {
    const ask = port[name] as (...question: unknown[]) => Promise<unknown>;
    let isLogged = false;
    const asked = async (...question: unknown[]): Promise<unknown> => {
      try {
        const answer = await ask(...question);
        isLogged = false;
        return answer;
      } catch (error) {
        // Of several that were asked at once, the first.
        if (error instanceof PreconditionError && lookUps[name] !== undefined) {
          delete lookUps[name];
          setTimeout(put, ASK_AGAIN_MS).unref();
          if (!isLogged)
            log.warn({ reason: error.message }, `${WHAT[name]} may not be read: rules about them are silent`);
          isLogged = true;
        }
        throw error;
      }
    };
    const put = (): void => {
      Object.assign(lookUps, { [name]: asked });
    };
    put();
  }
}
