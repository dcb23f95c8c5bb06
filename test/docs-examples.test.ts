// What the pages tell people to apply passes our own rules.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { validateText } from '../cli/validate.ts';

const ROOT = dirname(import.meta.dirname);
const pages = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT })];
const blocks = pages.flatMap((page) => {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block = '']) => ({ page, block }));
});

test('every YAML example of the pages passes `cellar validate`', () => {
  assert.ok(blocks.length > 10, 'the pages have examples');
  for (const { page, block } of blocks) assert.deepEqual(validateText(block), [], `${page}:\n${block}`);
});
