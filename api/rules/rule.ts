// What a rule of admission is, what it finds, and what is told about it. One table for each kind lists its rules.
import { NOTHING_AROUND, type Surroundings } from './surroundings.ts';

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE';

/**
 * E refuses. E* refuses too, but an update that leaves an already stored flaw alone passes with a warning.
 * W warns, or refuses under `strictReferences` where something else is missing.
 */
export type Severity = 'E' | 'E*' | 'W';

/** How the API server classes a refusal (`causes[].reason` of a Status). */
export type Reason =
  | 'FieldValueInvalid'
  | 'FieldValueRequired'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueDuplicate';

export type Finding = {
  /** The field, as `spec.a.b[0]`; keys of maps in brackets. */
  path: string;
  /** The value found, ready to be shown: never a secret, never long. See show.ts. */
  found: string;
  /** What to write instead. */
  advice: string;
  /** The values that make the flaw: when the stored object has the same ones, the flaw is an old one. Default `found`. */
  offending?: unknown;
  /** This case only warns, though its rule refuses. */
  warnOnly?: true;
  /** The flaw is that something else is not there, or is still there: `strictReferences` makes it an error. */
  reference?: true;
};

/** What a check is told besides the object itself. */
export type RuleContext<T> = {
  operation: Operation;
  /** The stored object, on updates. */
  old: T | undefined;
  /** What else there is, as far as it is known. */
  around: Surroundings;
};

export type Rule<T> = {
  /** As in objectstore-and-injection.md §2, or F and a number for a row of field-use.md. */
  id: string;
  severity: Severity;
  operations: readonly Operation[];
  /** Where its findings point, for the documentation. */
  path: string;
  /** What must be true, for the documentation. */
  demand: string;
  reason: Reason;
  check(subject: T, context: RuleContext<T>): Iterable<Finding>;
};

export type Problem = {
  id: string;
  severity: 'error' | 'warning';
  path: string;
  found: string;
  /** What was found and what to write instead: one sentence, without the path. */
  message: string;
  reason: Reason;
};

/** Word for a value that is not there. */
export const MISSING = 'missing';

/** Runs a table of rules. Old flaws of E* rules become warnings; nothing is thrown on any subject of its type. */
export function applyRules<T>(
  rules: readonly Rule<T>[],
  subject: T,
  { operation, old, around = NOTHING_AROUND }: { operation: Operation; old?: T; around?: Surroundings },
): Problem[] {
  const context: RuleContext<T> = { operation, old, around };
  return rules
    .filter((rule) => rule.operations.includes(operation))
    .flatMap((rule) => {
      const findings = [...rule.check(subject, context)];
      const stored = findings.length === 0 ? new Set<string>() : flawsOf(rule, context);
      return findings.map((finding) => problem(rule, finding, severityOf(rule, finding, stored, around)));
    });
}

/**
 * | rule | finding | the stored object has it | is an |
 * |---|---|---|---|
 * | any | `warnOnly` | any | warning |
 * | any | `reference`, under strictReferences | no | error |
 * | E | any other | any | error |
 * | E* | any other | no | error |
 * | all the rest | | | warning |
 */
function severityOf<T>(rule: Rule<T>, finding: Finding, stored: Set<string>, around: Surroundings) {
  if (finding.warnOnly === true) return 'warning';
  if (rule.severity === 'E') return 'error';
  const refuses = rule.severity === 'E*' || (finding.reference === true && around.strictReferences);
  return refuses && !stored.has(flawOf(finding)) ? 'error' : 'warning';
}

/** All problems in the order that people read a document; of the same path, errors go first. */
export function sortProblems(problems: Problem[]): Problem[] {
  const order = new Intl.Collator('en', { numeric: true });
  return problems.sort(
    (a, b) => order.compare(a.path, b.path) || a.severity.localeCompare(b.severity) || order.compare(a.id, b.id),
  );
}

/** The sentence for a person, with the path. */
export function sentenceOf(problem: Pick<Problem, 'path' | 'message'>): string {
  return `${problem.path}: ${problem.message}`;
}

function problem<T>(rule: Rule<T>, finding: Finding, severity: Problem['severity']): Problem {
  const missing = finding.found === MISSING;
  return {
    id: rule.id,
    severity,
    path: finding.path,
    found: finding.found,
    message: `${missing ? MISSING : `found ${finding.found}`}: ${finding.advice}`,
    reason: missing ? 'FieldValueRequired' : rule.reason,
  };
}

function flawsOf<T>(rule: Rule<T>, context: RuleContext<T>): Set<string> {
  if (context.operation !== 'UPDATE' || context.old === undefined) return new Set();
  return new Set([...rule.check(context.old, { ...context, old: context.old })].map(flawOf));
}

/** A flaw is the same one when it sits in the same field, at whatever place of a list, with the same values. */
function flawOf(finding: Finding): string {
  const field = finding.path.replaceAll(/\[\d+\]/g, '[]');
  return JSON.stringify([field, finding.offending ?? finding.found]);
}
