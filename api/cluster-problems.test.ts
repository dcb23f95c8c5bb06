import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findClusterProblems } from './cluster-problems.ts';
import { PLUGIN_NAME } from './names.ts';
import { type Operation, type Problem, sentenceOf } from './problems.ts';
import { CLUSTER_RULES } from './rules/cluster.ts';

const STORE = { barmanObjectName: 'minio-store' };
const OTHER = { name: 'other.example' };
const PAUSE = 'to pause annotate cnpg.io/skipWalArchiving: enabled';

/** Our entry of `spec.plugins`, as the operator's CRD completes it, with other fields. */
function entry(fields: object = {}): object {
  return { name: PLUGIN_NAME, enabled: true, isWALArchiver: false, parameters: STORE, ...fields };
}

function cluster(plugins: unknown, spec: object = {}, annotations: object = {}): object {
  return {
    apiVersion: 'postgresql.cnpg.io/v1',
    kind: 'Cluster',
    metadata: { name: 'orders', namespace: 'shop', annotations },
    spec: { instances: 3, storage: { size: '1Gi' }, plugins, ...spec },
  };
}

function told(problems: Problem[]): string[] {
  return problems.map((problem) => `${problem.id} ${problem.severity} ${sentenceOf(problem)}`);
}

function create(subject: unknown): string[] {
  return told(findClusterProblems(subject, { operation: 'CREATE' }));
}

function undeclared(index: number, found: string): string {
  return `CL14 warning spec.plugins[${index}].isWALArchiver: ${found}: WAL is archived anyway; ${PAUSE}`;
}

/** Title, document, what is told about it. Every rule is here: a test below counts them. */
const CASES: [title: string, subject: unknown, told: string[]][] = [
  ['an entry that says false', cluster([entry()]), [undeclared(0, 'found false')]],
  ['an entry that says nothing', cluster([entry({ isWALArchiver: undefined })]), [undeclared(0, 'missing')]],
  ['an entry that says null', cluster([entry({ isWALArchiver: null })]), [undeclared(0, 'missing')]],
  [
    'an entry that says nothing of being enabled',
    cluster([entry({ enabled: undefined })]),
    [undeclared(0, 'found false')],
  ],
  ['an entry after others', cluster([OTHER, 7, entry()]), [undeclared(2, 'found false')]],
  [
    'the last of two entries, which is the one that counts',
    cluster([entry({ isWALArchiver: true }), entry()]),
    [undeclared(1, 'found false')],
  ],
  [
    'the first of two entries when the last is disabled',
    cluster([entry(), entry({ enabled: false, isWALArchiver: true })]),
    [undeclared(0, 'found false')],
  ],
  [
    'an entry beside an in-tree store, whose own rule is CL13',
    cluster([entry()], { backup: { barmanObjectStore: { destinationPath: 's3://backups/' } } }),
    [undeclared(0, 'found false')],
  ],
  [
    'an annotation with another value than enabled',
    cluster([entry()], {}, { 'cnpg.io/skipWalArchiving': 'true' }),
    [undeclared(0, 'found false')],
  ],
];

for (const [title, subject, expected] of CASES) {
  test(`warns of ${title}`, () => assert.deepEqual(create(subject), expected));
}

for (const [title, subject] of [
  ['a declared archiver', cluster([entry({ isWALArchiver: true })])],
  ['a flag in quotes, which the CRD refuses', cluster([entry({ isWALArchiver: 'true' })])],
  ['the first of two entries when the last is declared', cluster([entry(), entry({ isWALArchiver: true })])],
  ['a disabled entry', cluster([entry({ enabled: false })])],
  ['an entry without a store, which archives nothing', cluster([entry({ parameters: {} })])],
  ['an entry whose store has no name', cluster([entry({ parameters: { barmanObjectName: '' } })])],
  ['archiving that is paused by annotation', cluster([entry()], {}, { 'cnpg.io/skipWalArchiving': 'enabled' })],
  ['another plugin', cluster([{ ...OTHER, isWALArchiver: false, parameters: STORE }])],
  ['our plugin as a recovery source', cluster([], { externalClusters: [{ name: 'old', plugin: entry() }] })],
  ['a Cluster without plugins', cluster(undefined)],
] as const) {
  test(`says nothing about ${title}`, () => assert.deepEqual(create(subject), []));
}

test('warns on every update, too, whatever is stored', () => {
  for (const old of [cluster([entry()]), cluster([]), undefined, null]) {
    const problems = findClusterProblems(cluster([entry()]), { operation: 'UPDATE', old });
    assert.deepEqual(told(problems), [undeclared(0, 'found false')]);
  }
});

test('a warning is short enough for kubectl', () => {
  const [problem] = findClusterProblems(cluster([entry()]), { operation: 'CREATE' });
  assert.ok(problem !== undefined && sentenceOf(problem).length < 120, `${problem && sentenceOf(problem).length}`);
});

test('every rule has a case, and every rule of the table is another', () => {
  const ids = CLUSTER_RULES.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const seen = new Set(CASES.flatMap(([, , lines]) => lines.map((line) => line.split(' ')[0])));
  assert.deepEqual(
    ids.filter((id) => !seen.has(id)),
    [],
  );
});

test('takes any JSON value, never refuses, never throws, and changes nothing', () => {
  const orJson = (...fitting: fc.Arbitrary<unknown>[]) =>
    fc.oneof(...fitting.map((arbitrary) => ({ arbitrary, weight: 5 })), fc.jsonValue({ maxDepth: 2 }));
  const flag = orJson(fc.boolean());
  const parameters = orJson(fc.record({ barmanObjectName: orJson(fc.constantFrom('minio-store', '')) }));
  const stanza = fc.record(
    { name: orJson(fc.constant(PLUGIN_NAME)), enabled: flag, isWALArchiver: flag, parameters },
    { requiredKeys: [] },
  );
  const annotations = orJson(
    fc.dictionary(fc.constantFrom('cnpg.io/skipWalArchiving', '__proto__', 'a'), orJson(fc.constant('enabled'))),
  );
  const anything = orJson(
    fc.record(
      {
        metadata: orJson(fc.record({ annotations }, { requiredKeys: [] })),
        spec: orJson(fc.record({ plugins: orJson(fc.array(orJson(stanza), { maxLength: 3 })) })),
      },
      { requiredKeys: [] },
    ),
  );
  let warned = 0;
  fc.assert(
    fc.property(anything, anything, fc.constantFrom<Operation>('CREATE', 'UPDATE'), (subject, old, operation) => {
      const before = JSON.stringify([subject, old]);
      const problems = findClusterProblems(subject, { operation, old });
      assert.equal(JSON.stringify([subject, old]), before);
      for (const { severity, path, message } of problems) {
        assert.equal(severity, 'warning');
        assert.match(path + message, /^spec\.plugins\[\d+\][^\n\r]+$/);
      }
      warned += problems.length;
    }),
    { numRuns: 2000 },
  );
  assert.ok(warned > 0, 'no document of the 2000 was interesting');
});

test('is not upset by documents of great depth or size', () => {
  const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  assert.deepEqual(create(cluster([entry({ parameters: deep })], { backup: deep })), []);
  const wide = Array.from({ length: 20_000 }, () => entry());
  assert.deepEqual(create(cluster(wide)), [undeclared(19_999, 'found false')]);
});
