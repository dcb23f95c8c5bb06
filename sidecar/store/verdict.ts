// What every table of store errors judges with: the class of a failure and what to do, and the facts of unknown values.
import type { StoreFailure } from '../../api/errors.ts';

/** `hint`: what a person can do. */
export type Verdict = { failure: StoreFailure; hint?: string };

export function refused(hint: string): Verdict {
  return { failure: 'refused', hint };
}

export function misconfigured(hint: string): Verdict {
  return { failure: 'misconfigured', hint };
}

export function broken(hint: string): Verdict {
  return { failure: 'broken', hint };
}

/** Own fields of an object; nothing of anything else. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** A text that says something. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
