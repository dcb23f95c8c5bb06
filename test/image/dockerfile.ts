// What the Dockerfile says of the image that it makes.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILE = join(dirname(dirname(import.meta.dirname)), 'Dockerfile');

/** Instructions of the last stage, in order, continued lines joined. */
export function finalStage(): { instruction: string; value: string }[] {
  const lines = readFileSync(FILE, 'utf8')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n');
  const instructions = lines.flatMap((line) => {
    const [, instruction = '', value = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return instruction === '' ? [] : { instruction, value: value.trim() };
  });
  return instructions.slice(instructions.findLastIndex(({ instruction }) => instruction === 'FROM'));
}

/** The image's own environment. */
export function imageEnvironment(): Record<string, string> {
  const values = finalStage().flatMap(({ instruction, value }) => (instruction === 'ENV' ? value.split(/\s+/) : []));
  return Object.fromEntries(
    values.map((each): [string, string] => [each.replace(/=.*/, ''), each.slice(each.indexOf('=') + 1)]),
  );
}
