// Every rule, and every example of the usage page, through the envelope: kubectl prints what the fixture says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { sentenceOf } from '../api/problems.ts';
import { RULE_TABLE } from '../api/rules/table.ts';
import { askFixture, fixtureText, printedOf, readAdmissionFixtures } from './tools/admission-fixtures.ts';
import { ADMISSION_PAGE, admissionPage } from './tools/admission-page.ts';

const fixtures = readAdmissionFixtures('admission');

/** kubectl cuts what is longer than a line or two; 120 is the aim. */
const MAX_WARNING_LENGTH = 200;

for (const fixture of [...fixtures, ...readAdmissionFixtures('usage')]) {
  test(`${basename(fixture.file)}: kubectl prints what its first lines say (renew: node test/tools/make-admission.ts)`, async () => {
    const answer = await askFixture(fixture);
    const prints = printedOf(fixture, answer);
    assert.equal(readFileSync(fixture.file, 'utf8'), fixtureText(fixture, prints));
    const { warnings = [] } = answer.response;
    assert.deepEqual(
      warnings.filter((warning) => warning.length > MAX_WARNING_LENGTH || warning.endsWith('…')),
      [],
      'warnings are whole',
    );
    assert.equal(answer.response.patch, undefined, 'nothing is changed');
  });
}

test('every rule has a fixture that tells of it, and every fixture a rule', async () => {
  const ids = new Set(Object.values(RULE_TABLE).flatMap((rules) => rules.map(({ id }) => id)));
  assert.deepEqual([...new Set(fixtures.map(({ rule }) => rule))].sort(), [...ids].sort());
});

test('the rules of a kind have different ids', () => {
  for (const [kind, rules] of Object.entries(RULE_TABLE)) {
    assert.equal(new Set(rules.map(({ id }) => id)).size, rules.length, kind);
  }
});

test('of a refusal, field and message of each cause are one sentence', async () => {
  for (const fixture of fixtures) {
    const { status } = (await askFixture(fixture)).response;
    for (const { field, message } of status?.details.causes ?? []) {
      const sentence = sentenceOf({ path: field, message });
      assert.match(sentence, /^(spec|metadata)[^\n]*: (missing|found [^\n]+): [^\n]+$/, fixture.file);
    }
  }
});

test('docs/admission.md is made from the rules and their fixtures (renew: node test/tools/make-admission.ts)', () => {
  assert.equal(readFileSync(ADMISSION_PAGE, 'utf8'), admissionPage());
});
