// What all doors that judge have in common: which writes are judged, and what becomes of the problems found. No such door
// ever changes an object.
import { ANNOTATION_VALIDATION } from '../api/names.ts';
import { type Operation, type Problem, type ProblemContext, sentenceOf } from '../api/problems.ts';
import { childOf } from '../api/schema.ts';
import type { Review, Verdict } from './review.ts';

/** What an outcome is called in metrics and logs, besides the verdict. */
export type Judgement = { verdict: Verdict; outcome: 'allowed' | 'warned' | 'refused' | 'skipped'; rules: string[] };

/**
 * Judges creates and updates of the object itself. Everything else passes: other operations, subresources (status writes
 * must never fail here), objects that are being deleted, and objects that opt out by annotation.
 */
export function judge(
  review: Review,
  findProblems: (object: unknown, context: ProblemContext) => Problem[],
): Judgement {
  const operation = operationOf(review);
  const metadata = childOf(review.object, 'metadata');
  if (operation === undefined || review.subResource !== '' || childOf(metadata, 'deletionTimestamp')) {
    return { verdict: { allowed: true, warnings: [] }, outcome: 'skipped', rules: [] };
  }
  if (childOf(childOf(metadata, 'annotations'), ANNOTATION_VALIDATION) === 'disabled') {
    const warning = `not validated: metadata.annotations[${ANNOTATION_VALIDATION}] is disabled`;
    return { verdict: { allowed: true, warnings: [warning] }, outcome: 'skipped', rules: [] };
  }
  const problems = findProblems(review.object, { operation, old: review.oldObject });
  const errors = problems.filter(({ severity }) => severity === 'error');
  const warnings = problems.filter(({ severity }) => severity === 'warning').map(sentenceOf);
  const rules = [...new Set(problems.map(({ id }) => id))];
  if (errors.length > 0) return { verdict: { allowed: false, warnings, problems: errors }, outcome: 'refused', rules };
  return { verdict: { allowed: true, warnings }, outcome: warnings.length > 0 ? 'warned' : 'allowed', rules };
}

function operationOf(review: Review): Operation | undefined {
  return review.operation === 'CREATE' || review.operation === 'UPDATE' ? review.operation : undefined;
}
