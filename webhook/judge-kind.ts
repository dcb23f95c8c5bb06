// Judges an object of any of the four kinds: takes a look around, then asks the rules.
import { FIND_PROBLEMS, type JudgedKind } from '../api/judged-kinds.ts';
import type { Operation } from '../api/problems.ts';
import { childOf, isFields } from '../api/schema.ts';
import { type Judgement, openCase, settle } from './judge.ts';
import { type LookUps, lookAround } from './look-ups.ts';
import type { Review } from './review.ts';

export type JudgeContext = {
  /** Without them, rules about other objects are silent. */
  lookUps?: LookUps;
  /** References to objects that are not there refuse. Default false. */
  strictReferences?: boolean;
  /** Longest wait for all look-ups together, ms; what has not answered then is a warning. */
  lookUpLimitMs?: number;
};

const LOOK_UP_LIMIT_MS = 1_000;

const OPERATIONS: Record<JudgedKind, readonly Operation[]> = {
  ObjectStore: ['CREATE', 'UPDATE', 'DELETE'],
  Cluster: ['CREATE', 'UPDATE'],
  Backup: ['CREATE', 'UPDATE'],
  ScheduledBackup: ['CREATE', 'UPDATE'],
};

/**
 * Refuses with all errors at once, and tells the warnings besides; the rules are those of objectstore-and-injection.md §2.
 * Reads only, so a dry run is no other case. Look-ups that fail or are late become warnings, never refusals.
 */
export async function judgeKind(kind: JudgedKind, review: Review, context: JudgeContext): Promise<Judgement> {
  const given = openCase(review, OPERATIONS[kind]);
  if ('verdict' in given) return given;
  const { operation, old } = given;
  const object = withNamespace(given.object, review.namespace);
  const { lookUps, strictReferences = false, lookUpLimitMs = LOOK_UP_LIMIT_MS } = context;
  const { around, failures } = await lookAround(
    { kind, operation, object, namespace: review.namespace },
    lookUps ?? {},
    {
      strictReferences,
      limitMs: lookUpLimitMs,
    },
  );
  return settle(
    FIND_PROBLEMS[kind](object, { operation, old: withNamespace(old, review.namespace), around }),
    failures,
  );
}

/** The API server tells the namespace beside the object, and not always in it. */
function withNamespace(object: unknown, namespace: string): unknown {
  const metadata = childOf(object, 'metadata');
  if (!isFields(object) || namespace === '' || childOf(metadata, 'namespace') === namespace) return object;
  return { ...object, metadata: { ...(isFields(metadata) ? metadata : {}), namespace } };
}
