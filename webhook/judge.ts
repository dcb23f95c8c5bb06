// What all doors that judge have in common: which writes are judged, and what becomes of the problems found. No such door
// ever changes an object.
import { ANNOTATION_VALIDATION } from '../api/names.ts';
import { type Operation, type Problem, sentenceOf } from '../api/problems.ts';
import { childOf } from '../api/schema.ts';
import type { Review, Verdict } from './review.ts';

/** What an outcome is called in metrics and logs, besides the verdict. */
export type Judgement = { verdict: Verdict; outcome: 'allowed' | 'warned' | 'refused' | 'skipped'; rules: string[] };

/** What is to be judged: of a deletion, the stored object. */
export type Case = { operation: Operation; object: unknown; old: unknown };

/**
 * Takes up a review, or answers at once what is not judged: other operations, subresources (status writes must never fail
 * here), objects that are being deleted, and objects that opt out by annotation.
 */
export function openCase(review: Review, operations: readonly Operation[]): Case | Judgement {
  const operation = operations.find((known) => known === review.operation);
  const object = operation === 'DELETE' ? review.oldObject : review.object;
  const metadata = childOf(object, 'metadata');
  if (operation === undefined || review.subResource !== '' || childOf(metadata, 'deletionTimestamp')) {
    return { verdict: { allowed: true, warnings: [] }, outcome: 'skipped', rules: [] };
  }
  if (childOf(childOf(metadata, 'annotations'), ANNOTATION_VALIDATION) === 'disabled') {
    const warning = `not validated: metadata.annotations[${ANNOTATION_VALIDATION}] is disabled`;
    return { verdict: { allowed: true, warnings: [warning] }, outcome: 'skipped', rules: [] };
  }
  return { operation, object, old: operation === 'UPDATE' ? review.oldObject : undefined };
}

/** Errors refuse; warnings are told either way, with what else is to be said. */
export function settle(problems: Problem[], remarks: readonly string[]): Judgement {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const told = problems.filter(({ severity }) => severity === 'warning').map(sentenceOf);
  const warnings = [...told, ...remarks];
  const rules = [...new Set(problems.map(({ id }) => id))];
  if (errors.length > 0) return { verdict: { allowed: false, warnings, problems: errors }, outcome: 'refused', rules };
  return { verdict: { allowed: true, warnings }, outcome: warnings.length > 0 ? 'warned' : 'allowed', rules };
}
