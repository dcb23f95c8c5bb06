import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findClusterProblems } from './cluster-problems.ts';
import { PLUGIN_NAME } from './names.ts';
import { type Operation, type Problem, sentenceOf } from './problems.ts';
import { indexStores } from './rules/neighbours.ts';

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

function twice(index: number): string {
  return `CL12 error spec.plugins[${index}].name: found 2 entries: list the plugin once; some tools take the first entry, some the last`;
}

/** Title, document, what is told about it. Each rule has a fixture besides, in test/fixtures/admission/. */
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
    [undeclared(1, 'found false'), twice(1)],
  ],
  [
    'the first of two entries when the last is disabled',
    cluster([entry(), entry({ enabled: false, isWALArchiver: true })]),
    [undeclared(0, 'found false'), twice(1)],
  ],
  [
    'an entry beside an in-tree store',
    cluster([entry()], { backup: { barmanObjectStore: { destinationPath: 's3://backups/' } } }),
    [
      'CL13 warning spec.backup.barmanObjectStore: found it beside the plugin: every WAL file is sent twice; remove spec.backup.barmanObjectStore',
      undeclared(0, 'found false'),
    ],
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
  ['a disabled entry', cluster([entry({ enabled: false })])],
  ['archiving that is paused by annotation', cluster([entry()], {}, { 'cnpg.io/skipWalArchiving': 'enabled' })],
  ['another plugin', cluster([{ ...OTHER, isWALArchiver: false, parameters: STORE }])],
  ['our plugin as a recovery source', cluster([], { externalClusters: [{ name: 'old', plugin: entry() }] })],
  ['a Cluster without plugins', cluster(undefined)],
] as const) {
  test(`says nothing about ${title}`, () => assert.deepEqual(create(subject), []));
}

const DECLARED = { isWALArchiver: true };

function recovering(parameters: object, spec: object = {}, annotations: object = {}): object {
  const source = { name: 'source', plugin: { name: PLUGIN_NAME, parameters } };
  const bootstrap = { recovery: { source: 'source' } };
  return cluster([entry(DECLARED)], { bootstrap, externalClusters: [source], ...spec }, annotations);
}

const SAME_PLACE = { ...STORE, serverName: 'orders' };

for (const [title, subject] of [
  ['a recovery from another server of the same store', recovering({ ...STORE, serverName: 'orders-v1' })],
  ['a recovery from another store', recovering({ barmanObjectName: 'old', serverName: 'orders' })],
  ['a target with a zone', recovering({ ...STORE, serverName: 'v1' }, { bootstrap: timed('2026-11-25 07:00:00+01') })],
  ['a target in UTC', recovering({ ...STORE, serverName: 'v1' }, { bootstrap: timed('2026-11-25T07:00:00Z') })],
  [
    'the primary site of two, which is its own source',
    cluster([entry(DECLARED)], {
      replica: { self: 'a', primary: 'a', source: 'source' },
      externalClusters: [{ name: 'source', plugin: { name: PLUGIN_NAME, parameters: SAME_PLACE } }],
    }),
  ],
  [
    'an external cluster that nothing names',
    cluster([entry(DECLARED)], { externalClusters: [{ name: 'x', plugin: { name: PLUGIN_NAME, enabled: false } }] }),
  ],
  ['a declared archiver beside an in-tree store, which the operator refuses', inTree(DECLARED)],
  ['a retention of the in-tree archiver', cluster([], { backup: { retentionPolicy: '30d' } })],
  ['another plugin whose name is near nothing', cluster([OTHER])],
  [
    'the annotation with its only value',
    cluster([entry(DECLARED)], {}, { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' }),
  ],
] as const) {
  test(`says nothing about ${title}`, () => assert.deepEqual(create(subject), []));
}

function timed(targetTime: string): object {
  return { recovery: { source: 'source', recoveryTarget: { targetTime } } };
}

function inTree(fields: object): object {
  return cluster([entry(fields)], { backup: { barmanObjectStore: { destinationPath: 's3://backups/' } } });
}

test('an in-tree store without a destination is at no known place, nor at that of an unknown ObjectStore', () => {
  const beside = cluster([entry()], { backup: { barmanObjectStore: {} } });
  const around = { stores: indexStores([]), complete: false, strictReferences: false };
  const severities = findClusterProblems(beside, { operation: 'CREATE', around }).map((p) => `${p.id} ${p.severity}`);
  assert.deepEqual(severities, ['CL13 warning', 'CL14 warning']);
});

test('archiving into the source: refused at create, or warned with the annotation; warned at update, or not with it', () => {
  const ids = (operation: Operation, annotations: object) =>
    told(findClusterProblems(recovering(SAME_PLACE, {}, annotations), { operation })).map((line) => line.slice(0, 12));
  const skip = { 'cnpg.io/skipEmptyWalArchiveCheck': 'enabled' };
  assert.deepEqual(ids('CREATE', {}), ['CL10 error s']);
  assert.deepEqual(ids('CREATE', skip), ['CL10 warning']);
  assert.deepEqual(ids('UPDATE', {}), ['CL10 warning']);
  assert.deepEqual(ids('UPDATE', skip), []);
});

test('a stored flaw of an E* rule warns, a new one refuses, and a mended one is silent', () => {
  const flawed = cluster([entry({ ...DECLARED, parameters: { ...STORE, serverName: '' } })]);
  const fine = cluster([entry(DECLARED)]);
  const severities = (now: object, old: object) =>
    findClusterProblems(now, { operation: 'UPDATE', old }).map(({ id, severity }) => `${id} ${severity}`);
  assert.deepEqual(severities(flawed, flawed), ['CL7 warning']);
  assert.deepEqual(severities(flawed, fine), ['CL7 error']);
  assert.deepEqual(severities(fine, flawed), []);
});

for (const [name, severity] of [
  ['a/../b', 'CL5 error'],
  ['-a', 'CL5 error'],
  ['a/', 'CL5 error'],
  ['  ', 'CL5 error'],
  ['a\u0007', 'CL5 error'],
  ['a b', 'CL6 warning'],
  ['ä', 'CL6 warning'],
  ['a'.repeat(256), 'CL6 warning'],
] as const) {
  test(`the server name ${JSON.stringify(name.slice(0, 10))} is a ${severity}`, () => {
    const [problem, ...others] = findClusterProblems(
      cluster([entry({ ...DECLARED, parameters: { ...STORE, serverName: name } })]),
      { operation: 'CREATE' },
    );
    assert.deepEqual([`${problem?.id} ${problem?.severity}`, others], [severity, []]);
  });
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

test('takes any JSON value, never throws, and changes nothing', () => {
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
      for (const { path, message } of problems) assert.match(path + message, /^spec\.plugins\[\d+\][^\n\r]+$/);
      warned += problems.length;
    }),
    { numRuns: 2000 },
  );
  assert.ok(warned > 0, 'no document of the 2000 was interesting');
});

test('is not upset by documents of great depth or size', () => {
  const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  assert.equal(create(cluster([entry({ parameters: deep })], { backup: deep })).length, 1);
  const wide = Array.from({ length: 20_000 }, () => entry());
  assert.deepEqual(create(cluster(wide)), [
    undeclared(19_999, 'found false'),
    twice(19_999).replace('2 entries', '20000 entries'),
  ]);
});
