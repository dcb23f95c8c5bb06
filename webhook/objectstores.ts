// Judges an ObjectStore. Both doors for ObjectStores lead here.
import { findProblems } from '../api/problems.ts';
import { type Judgement, judge } from './judge.ts';
import type { Review } from './review.ts';

/** Refuses with all errors at once; the rules are those of objectstore-and-injection.md §2.1 to §2.3. */
export function judgeObjectStore(review: Review): Judgement {
  return judge(review, findProblems);
}
