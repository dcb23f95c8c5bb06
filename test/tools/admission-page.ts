// docs/admission.md as text: its opening words, then every rule from the table, with what kubectl prints of its fixture.
import { join } from 'node:path';
import { type JudgedKind, RULE_TABLE, type RuleRow } from '../../api/rules/table.ts';
import { type AdmissionFixture, readAdmissionFixtures } from './admission-fixtures.ts';

export const ADMISSION_PAGE = join(import.meta.dirname, '../../docs/admission.md');

const OPENING = `# Admission: what is said at \`kubectl apply\`

<!-- Made by test/tools/make-admission.ts from the table of rules in api/rules/ and the fixtures in test/fixtures/admission/. -->

ObjectStores, Clusters, Backups and ScheduledBackups are judged when they are applied. All problems are told at once, sorted by
field: each line names the field, the value found, and what to write instead. Nothing is ever changed, not even defaulted.

- **E** refuses. **E\\*** refuses on creation, and on an update that brings the flaw in or changes it; a flaw that is stored already
  only warns. **W** warns, and kubectl prints it as \`Warning:\`.
- References to objects that are not there (yet) only warn, because tools apply in any order; \`strictReferences\` refuses them.
- Other Clusters, ObjectStores and, where it is allowed, Secrets are looked at for up to one second. A look that fails is told as
  a warning and never refuses. Two Clusters that are applied at the same instant through two replicas may both pass CL11, for
  neither sees the other yet; the sidecar's own check before the first WAL is the second line.
- Annotate \`cnpg.io/validation: disabled\` and an object is not judged; one warning says so. Status writes and objects that are
  being deleted never are.
- \`cellar validate -f FILE…\` asks the same rules of files, before anything is applied, and takes the other documents of those
  files for what there is. It prints \`file:line: severity: path: message\`, JSON with \`-o json\`; the status is 1 when something
  is refused, 2 for files that cannot be read.

The rules' own examples are files: each begins with the command and what kubectl prints.
`;

/** Deterministic. */
export function admissionPage(): string {
  const fixtures = readAdmissionFixtures('admission');
  const kinds = Object.entries(RULE_TABLE) as [JudgedKind, readonly RuleRow[]][];
  return [OPENING, ...kinds.map(([kind, rules]) => section(kind, rules, fixtures))].join('\n');
}

function section(kind: JudgedKind, rules: readonly RuleRow[], fixtures: AdmissionFixture[]): string {
  const rows = rules.map((rule) => {
    const fixture = fixtureOf(kind, rule.id, fixtures);
    return `| ${[...ruleCells(rule), ...exampleCells(fixture)].map(cell).join(' | ')} |`;
  });
  const head = '| Rule | | On | Field | What must be true | Example, told with its cure |\n|---|---|---|---|---|---|';
  return `## ${kind}\n\n${head}\n${rows.join('\n')}\n`;
}

function ruleCells({ id, severity, operations, path, demand }: RuleRow): string[] {
  const on = operations.map((operation) => operation.toLowerCase()).join(', ');
  return [id, severity, on, `\`${path}\``, demand];
}

/** The file of the shortest name, which is the rule's, or the one of its cases that is of the kind. */
function fixtureOf(kind: JudgedKind, id: string, fixtures: AdmissionFixture[]): AdmissionFixture | undefined {
  const own = fixtures
    .filter(({ rule }) => rule === id)
    .sort((a, b) => a.file.length - b.file.length || a.file.localeCompare(b.file));
  return own.find(({ documents }) => documents.at(-1)?.kind === kind) ?? own[0];
}

function exampleCells(fixture: AdmissionFixture | undefined): string[] {
  if (fixture === undefined) throw new Error('a rule has no fixture');
  const name = fixture.file.split('/').at(-1);
  const told = fixture.prints
    .filter((line) => /^(Warning: |\* |The .* is invalid: \S)/.test(line))
    .map((line) => line.replace(/^(Warning: |\* |The \S+ \S+ is invalid: )/, ''));
  return [`[yaml](../test/fixtures/admission/${name}) ${told.map((line) => `\`${line}\``).join('<br>')}`];
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/([^\\]|^)\*$/g, '$1\\*');
}
