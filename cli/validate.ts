// `cellar validate`: the rules of admission on YAML files, before anything is applied. Told as compilers tell:
// `file:line: path: message`.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import { findClusterProblems } from '../api/cluster-problems.ts';
import { findProblems, type Problem, sentenceOf } from '../api/problems.ts';
import { childOf } from '../api/schema.ts';

export type Finding = { line: number; severity: Problem['severity']; text: string };

/** The judge of a kind; other kinds are not judged. */
const JUDGES: Record<string, (object: unknown) => Problem[]> = {
  ObjectStore: (object) => findProblems(object, { operation: 'CREATE' }),
  Cluster: (object) => findClusterProblems(object, { operation: 'CREATE' }),
};

/** Judges every document of a YAML text as if it was created. Never throws: text that is no YAML is a finding, too. */
export function validateText(text: string): Finding[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const lineOf = (offset: number | undefined) => lines.linePos(offset ?? document.range[0]).line;
    if (document.errors.length > 0) {
      return document.errors.map((error) => {
        const [message = ''] = error.message.split('\n');
        return { line: lineOf(error.pos[0]), severity: 'error' as const, text: message };
      });
    }
    const object: unknown = document.toJS();
    const judge = JUDGES[String(childOf(object, 'kind'))];
    return (judge?.(object) ?? []).map((problem) => ({
      line: lineOf(offsetOf(document.contents, problem.path)),
      severity: problem.severity,
      text: sentenceOf(problem),
    }));
  });
}

/** Where the deepest part of a path that is written begins; the last part may be the one that is missing. */
function offsetOf(root: Node | null, path: string): number | undefined {
  let node: unknown = root;
  let offset = root?.range?.[0];
  for (const part of path.match(/[^.[\]]+/g) ?? []) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
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
