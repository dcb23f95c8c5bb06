import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CorruptError } from '../../api/errors.ts';
import { formatPythonLiteral, type PythonValue, parsePythonLiteral } from './python-literal.ts';

const PAIRS: [string, PythonValue][] = [
  ['None', null],
  ['True', true],
  ['42', 42],
  ['-0.5', -0.5],
  ['7710894972835218202', 7710894972835218202n],
  ["'plain'", 'plain'],
  [`"it's"`, "it's"],
  [`'both \\' and "'`, `both ' and "`],
  ["'a\\nb\\tc\\\\d\\x00é'", 'a\nb\tc\\d\x00é'],
  ["'\\u2028'", '\u2028'],
  ["[('tb', 16384, '/a b')]", [{ tuple: ['tb', 16384, '/a b'] }]],
  ["('one',)", { tuple: ['one'] }],
  ['()', { tuple: [] }],
  [
    "{'data': 0.4, 'x': [1, 2]}",
    new Map<PythonValue, PythonValue>([
      ['data', 0.4],
      ['x', [1, 2]],
    ]),
  ],
];

for (const [text, value] of PAIRS) {
  test(`${text} is read and written as Python does`, () => {
    assert.deepEqual(parsePythonLiteral(text), value);
    assert.equal(formatPythonLiteral(value), text);
  });
}

test('reads spellings that we do not write', () => {
  assert.equal(parsePythonLiteral(`"a" 'b'`), 'ab');
  assert.equal(parsePythonLiteral("'\\101\\q'"), 'A\\q');
  assert.equal(parsePythonLiteral('( 1 )'), 1);
  assert.deepEqual(parsePythonLiteral('[1, 2, ]'), [1, 2]);
});

for (const text of ["'open", '[1 2]', '{1}', '1 2', 'nul', '', "'\\xZZ'", '[', '{1:2']) {
  test(`refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => parsePythonLiteral(text), CorruptError);
  });
}
