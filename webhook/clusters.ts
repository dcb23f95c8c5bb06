// Judges a Cluster of any group: forks of the operator have their own.
import { findClusterProblems } from '../api/cluster-problems.ts';
import { type Judgement, judge } from './judge.ts';
import type { Review } from './review.ts';

/** Warns only, so far: every rule of objectstore-and-injection.md §2.4 that is here is of severity W. */
export function judgeCluster(review: Review): Judgement {
  return judge(review, findClusterProblems);
}
