// `cellar validate`: the rules of admission on YAML, before anything is applied. Pure: from texts to findings.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, type ScalarTag } from 'yaml';
import { messageOf } from '../api/errors.ts';
import { FIND_PROBLEMS, isJudgedKind, type JudgedKind } from '../api/judged-kinds.ts';
import { OBJECTSTORE_GROUP } from '../api/names.ts';
import { type Problem, sentenceOf } from '../api/problems.ts';
import { indexClusters, indexStores } from '../api/rules/neighbours.ts';
import type { Surroundings } from '../api/rules/surroundings.ts';
import { childOf } from '../api/schema.ts';
import { unknownFields } from './unknown-fields.ts';

export type SourceText = { file: string; text: string };

/** `rule` is undefined for text that is no YAML, and for fields that an ObjectStore does not have. */
export type Finding = {
  file: string;
  line: number;
  severity: Problem['severity'];
  rule: string | undefined;
  kind: string | undefined;
  name: string | undefined;
  text: string;
};

/**
 * Judges every document of every text as if it was created, beside the other documents. What is not among them may still
 * be in the cluster, so nothing is said of references. Never throws: text that is no YAML is a finding, too.
 */
export function validateSources(sources: readonly SourceText[]): Finding[] {
  const parsed = sources.map(parse);
  const subjects = parsed.flatMap((source) => source.subjects);
  const around: Surroundings = {
    clusters: indexClusters(objectsOf(subjects, 'Cluster')),
    stores: indexStores(objectsOf(subjects, 'ObjectStore')),
    complete: false,
    strictReferences: false,
  };
  return parsed.flatMap((source) => [
    ...source.findings,
    ...source.subjects.flatMap((subject) => judge(subject, around)),
  ]);
}

/** As `validateSources`, of one text. */
export function validateText(text: string): Finding[] {
  return validateSources([{ file: '-', text }]);
}

/** kubectl reads YAML 1.1, where these are flags, and `<<` merges. */
const OLD_FLAGS: ScalarTag[] = [
  oldFlag(/^(?:yes|Yes|YES|on|On|ON)$/, true),
  oldFlag(/^(?:no|No|NO|off|Off|OFF)$/, false),
];

function oldFlag(test: RegExp, value: boolean): ScalarTag {
  return { tag: 'tag:yaml.org,2002:bool', default: true, test, resolve: () => value };
}

type Subject = { kind: JudgedKind; object: unknown; file: string; lineOf(path: string): number };

type Parsed = { findings: Finding[]; subjects: Subject[] };

function parse({ file, text }: SourceText): Parsed {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    logLevel: 'error',
    merge: true,
    customTags: (tags) => [...OLD_FLAGS, ...tags],
  });
  const findings: Finding[] = [];
  const subjects: Subject[] = [];
  const complain = (offset: number, message: string) => {
    const [first = ''] = message.split('\n');
    const { line } = lines.linePos(offset);
    findings.push({ file, line, severity: 'error', rule: undefined, kind: undefined, name: undefined, text: first });
  };
  for (const document of Array.isArray(documents) ? documents : []) {
    const [error] = document.errors;
    if (error !== undefined) {
      complain(error.pos[0], error.message);
      continue;
    }
    const [begin] = document.range;
    const lineOf = (path: string) => lines.linePos(offsetOf(document.contents, path) ?? begin).line;
    try {
      subjects.push(...subjectsOf(document.toJS(), file, lineOf));
    } catch (error) {
      complain(begin, messageOf(error));
    }
  }
  return { findings, subjects };
}

/** The object of a document, or those of a List. */
function subjectsOf(object: unknown, file: string, lineOf: (path: string) => number, prefix = ''): Subject[] {
  const kind = childOf(object, 'kind');
  const items = childOf(object, 'items');
  if (prefix === '' && typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items)) {
    return items.flatMap((item, index) => subjectsOf(item, file, lineOf, `items[${index}].`));
  }
  if (!isJudgedKind(kind) || isForeign(kind, childOf(object, 'apiVersion'))) return [];
  return [{ kind, object, file, lineOf: (path) => lineOf(prefix + path) }];
}

/** Other APIs have ObjectStores, too. Clusters and Backups of forks have groups of their own. */
function isForeign(kind: JudgedKind, apiVersion: unknown): boolean {
  return kind === 'ObjectStore' && typeof apiVersion === 'string' && !apiVersion.startsWith(`${OBJECTSTORE_GROUP}/`);
}

function objectsOf(subjects: readonly Subject[], kind: JudgedKind): unknown[] {
  return subjects.filter((subject) => subject.kind === kind).map(({ object }) => object);
}

function judge({ kind, object, file, lineOf }: Subject, around: Surroundings): Finding[] {
  const written = childOf(childOf(object, 'metadata'), 'name');
  const name = typeof written === 'string' ? written : undefined;
  const unknown = kind === 'ObjectStore' ? unknownFields(object) : [];
  return [
    ...FIND_PROBLEMS[kind](object, { operation: 'CREATE', around }).map((problem) => ({
      file,
      line: lineOf(problem.path),
      severity: isFilledIn(problem) ? problem.severity : ('warning' as const),
      rule: problem.id,
      kind,
      name,
      text: isFilledIn(problem)
        ? sentenceOf(problem)
        : `${problem.path}: ${problem.found} is not filled in yet, not judged`,
    })),
    ...unknown.map((field) => ({
      file,
      line: lineOf(field.path),
      severity: 'warning' as const,
      rule: undefined,
      kind,
      name,
      text: sentenceOf(field),
    })),
  ];
}

/** Flux and envsubst fill `${NAME}` in before anything is applied. */
function isFilledIn({ found }: Problem): boolean {
  return !found.includes('${');
}

/** A key, an index, or a key in brackets, which may be quoted. */
const PART = /\[("(?:[^"\\]|\\.)*"|[^\]]*)\]|([^.[\]]+)/g;

/** Where the deepest part of a path that is written begins; the last part may be the one that is missing. */
function offsetOf(root: Node | null, path: string): number | undefined {
  let node: unknown = root;
  let offset = root?.range?.[0];
  for (const [, bracketed, plain = ''] of path.matchAll(PART)) {
    const part = bracketed ?? plain;
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => isScalar(key) && [String(key.value), JSON.stringify(key.value)].includes(part),
      );
      if (pair === undefined) break;
      offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}
