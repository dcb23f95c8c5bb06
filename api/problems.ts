// The one question of admission: what is wrong with this object?

import { readDraft } from './rules/draft.ts';
import { OBJECTSTORE_RULES } from './rules/objectstore.ts';
import { applyRules, type Operation, type Problem, sortProblems } from './rules/rule.ts';
import type { Surroundings } from './rules/surroundings.ts';

export { type Operation, type Problem, sentenceOf } from './rules/rule.ts';

export type ProblemContext = {
  operation: Operation;
  /** The stored object, on updates: flaws that are in it already only warn where the rule says so. */
  old?: unknown;
  /** What else there is; without it, rules about other objects are silent. */
  around?: Surroundings;
};

/**
 * Finds all problems of an ObjectStore at once, sorted by path (objectstore-and-injection.md §2). Takes any JSON value,
 * as written or after the API server's defaults, looks at nothing but the snapshot it is given, changes nothing and never
 * throws. A field that the schema refuses is told once, in the schema's rule; unknown fields are ignored, as the API
 * server prunes them. Of a deletion, the object is the stored one.
 */
export function findProblems(objectStore: unknown, context: ProblemContext): Problem[] {
  const subject = readDraft(objectStore);
  const { old, ...rest } = context;
  const stored = old === undefined || old === null ? undefined : readDraft(old);
  const problems = applyRules(OBJECTSTORE_RULES, subject, { ...rest, old: stored });
  const refused = new Set(problems.filter(isOfSchema).map(({ path }) => path));
  return sortProblems(problems.filter((problem) => isOfSchema(problem) || !isWithin(problem.path, refused)));
}

function isOfSchema({ id }: Problem): boolean {
  return id.startsWith('A');
}

/** Whether the path, or one that it is below of, is among the given ones. */
function isWithin(path: string, paths: Set<string>): boolean {
  const ends = Array.from(path.matchAll(/[.[]/g), ({ index }) => path.slice(0, index));
  return [...ends, path].some((ancestor) => paths.has(ancestor));
}
