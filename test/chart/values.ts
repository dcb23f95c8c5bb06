// The chart's values as their file tells them: what stands in a comment with `--` above a key is its sentence.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

export const CHART = join(dirname(dirname(import.meta.dirname)), 'charts/cellar');

export type ValueRow = { name: string; fallback: unknown; sentence: string };

/** Every documented value, in the order of the file. Throws when a value has neither a sentence nor documented ones below it. */
export function readValueRows(): ValueRow[] {
  const document = parseDocument(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
  return rowsOf(document.contents as YAMLMap, []);
}

/** The table of README.md, without a line end. */
export function valuesTable(rows: ValueRow[]): string {
  const lines = rows.map(({ name, fallback, sentence }) => {
    return `| \`${name}\` | \`${JSON.stringify(fallback)}\` | ${sentence.replaceAll('|', '\\|')} |`;
  });
  return ['| value | default | meaning |', '|---|---|---|', ...lines].join('\n');
}

function rowsOf(map: YAMLMap, path: string[]): ValueRow[] {
  return map.items.flatMap((pair, index) => {
    // The parser gives a comment above the first key of a map to the map.
    const comment = commentOf(pair) ?? (index === 0 ? (map.commentBefore ?? undefined) : undefined);
    return rowsOfPair(pair, path, comment);
  });
}

function rowsOfPair({ key, value }: Pair, path: string[], comment: string | undefined): ValueRow[] {
  const names = [...path, String(isScalar(key) ? key.value : key)];
  const name = names.join('.');
  const sentence = /(?:^|\n) -- ([\s\S]*)$/.exec(comment ?? '')?.[1]?.replace(/\n /g, ' ');
  if (sentence !== undefined) {
    const fallback = (value as { toJSON(): unknown }).toJSON();
    return [{ name, fallback, sentence }];
  }
  if (isMap(value) && value.items.length > 0) return rowsOf(value, names);
  throw new Error(`values.yaml: ${name} has no comment that begins with "-- "`);
}

function commentOf({ key }: Pair): string | undefined {
  return (isScalar(key) && key.commentBefore) || undefined;
}
