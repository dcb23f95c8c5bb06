// The question of admission about Clusters. Forks of the operator have them in a group of their own.
import type { Problem, ProblemContext } from './problems.ts';
import { CLUSTER_RULES } from './rules/cluster.ts';
import { readClusterDraft } from './rules/cluster-draft.ts';
import { applyRules, sortProblems } from './rules/rule.ts';

/**
 * Finds all problems of a Cluster at once, sorted by path (objectstore-and-injection.md §2.4). Takes any JSON value, looks
 * at nothing but the snapshot it is given, changes nothing and never throws. What the operator or the Cluster's CRD
 * refuses is left to them.
 */
export function findClusterProblems(cluster: unknown, context: ProblemContext): Problem[] {
  const { old, ...rest } = context;
  const stored = old === undefined || old === null ? undefined : readClusterDraft(old);
  return sortProblems(applyRules(CLUSTER_RULES, readClusterDraft(cluster), { ...rest, old: stored }));
}
