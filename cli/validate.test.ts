import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { validateSources, validateText } from './validate.ts';

const STORE = `apiVersion: barmancloud.cnpg.io/v1
kind: ObjectStore
metadata:
  name: minio-store
spec:
  retentionPolicy: 30d
  configuration:
    destinationPath: s3://backups/
    endpointURL: http://minio:9000
    serverName: other
    s3Credentials:
      accessKeyId: {name: minio, key: ID}
    wal:
      compression: gzp
`;

test('each problem stands at the line of its field, a missing one at what is written of its path', () => {
  const found = validateText(STORE).map(({ line, severity, text }) => [line, severity, text.split(':')[0]]);
  assert.deepEqual(found, [
    [11, 'error', 'spec.configuration.s3Credentials'],
    [10, 'error', 'spec.configuration.serverName'],
    [14, 'error', 'spec.configuration.wal.compression'],
  ]);
});

test('every document of a file is judged, other kinds are passed over', () => {
  const cluster = `---
kind: ConfigMap
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg}
spec:
  plugins:
  - name: barman-cloud.cloudnative-pg.io
    parameters:
      barmanObjectName: minio-store
`;
  const lines = validateText(STORE + cluster).map(({ line, severity }) => `${severity} ${line}`);
  assert.deepEqual(lines, ['error 11', 'error 10', 'error 14', 'warning 23']);
});

test('YAML is read as kubectl reads it: yes and on are flags, << merges, times are text', () => {
  const texts = `apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: pg}
spec:
  bootstrap: {recovery: {source: old, recoveryTarget: {targetTime: 2026-11-25 07:00:00+01}}}
  plugins:
  - name: barman-cloud.cloudnative-pg.io
    isWALArchiver: yes
    parameters: &store {barmanObjectName: minio-store}
  externalClusters:
  - name: old
    plugin: {name: barman-cloud.cloudnative-pg.io, parameters: {<<: *store, serverName: old}}
---
apiVersion: barmancloud.cnpg.io/v1
kind: ObjectStore
metadata: {name: minio-store}
spec:
  retentionPolicy: 30d
  configuration: {destinationPath: s3://backups/, s3Credentials: {inheritFromIAMRole: on}}
`;
  assert.deepEqual(validateText(texts), []);
});

test('a value that is not filled in yet is no error', () => {
  const text = `apiVersion: barmancloud.cnpg.io/v1
kind: ObjectStore
metadata: {name: minio-store}
spec:
  retentionPolicy: \${RETENTION:=30d}
  configuration:
    destinationPath: \${BUCKET}
    s3Credentials:
      accessKeyId: {name: "\${APP}-keys", key: id}
      secretAccessKey: {name: keys, key: key}
`;
  const found = validateText(text).map(({ severity, text: sentence }) => `${severity}: ${sentence}`);
  assert.deepEqual(found, [
    `warning: spec.configuration.destinationPath: "\${BUCKET}" is not filled in yet, not judged`,
    `warning: spec.configuration.s3Credentials.accessKeyId.name: "\${APP}-keys" is not filled in yet, not judged`,
    `warning: spec.retentionPolicy: "\${RETENTION:=30d}" is not filled in yet, not judged`,
  ]);
});

test('of a template that is no YAML the first complaint is enough', () => {
  assert.equal(validateText('{{- if .x }}\na: {{ .y }}\n{{- end }}\n').length, 1);
});

test('text that is no YAML is told with its line', () => {
  const [finding] = validateText('kind: ObjectStore\nspec: {a: [1\n');
  assert.equal(finding?.severity, 'error');
  assert.ok((finding?.line ?? 0) >= 2);
});

test('every item of a List is judged, at its own lines', () => {
  const list = `apiVersion: v1
kind: List
items:
- apiVersion: barmancloud.cnpg.io/v1
  kind: ObjectStore
  spec:
    configuration:
      destinationPath: ""
`;
  assert.deepEqual(
    validateText(list).map(({ line, rule }) => `${rule} ${line}`),
    ['B1 7', 'A1 8', 'F4 6'],
  );
});

test('keys in brackets are found at their line, whatever is in them', () => {
  const store = `kind: ObjectStore
metadata:
  annotations:
    a: b
    cnpg.io/skipEmptyWalArchiveCheck: enabled
spec:
  retentionPolicy: 30d
  configuration:
    destinationPath: s3://b
    s3Credentials: {inheritFromIAMRole: true}
    tags:
      x: y
      "a b": "c,d"
`;
  assert.deepEqual(
    validateText(store).map(({ line, rule }) => `${rule} ${line}`),
    ['F7 5', 'B22 13'],
  );
});

test('fields that an ObjectStore does not have are told with what was meant, because the API server drops them', () => {
  const store = `kind: ObjectStore
spec:
  retentionPolicy: 30d
  configuration:
    destinationPath: s3://b
    endpointUrl: http://minio
    retentionPolicy: 30d
    extra: true
    tags: {any: key}
    s3Credentials: {inheritFromIAMRole: true}
  instanceSidecarConfiguration:
    env: [{name: A, valu: b}]
`;
  assert.deepEqual(
    validateText(store).map(({ line, severity, text }) => `${line} ${severity} ${text}`),
    [
      '6 warning spec.configuration.endpointUrl: unknown field, dropped by the API server; did you mean endpointURL?',
      '7 warning spec.configuration.retentionPolicy: unknown field, dropped by the API server; it belongs in spec.retentionPolicy',
      '8 warning spec.configuration.extra: unknown field, dropped by the API server',
      '12 warning spec.instanceSidecarConfiguration.env[0].valu: unknown field, dropped by the API server; did you mean value?',
    ],
  );
});

test('the documents of all files are beside each other, and what is not among them is no complaint', () => {
  const cluster = (name: string) => `kind: Cluster
metadata: {name: ${name}}
spec:
  plugins:
  - name: barman-cloud.cloudnative-pg.io
    isWALArchiver: true
    parameters: {barmanObjectName: minio-store, serverName: one}
`;
  const sources = ['a', 'b'].map((name) => ({ file: `${name}.yaml`, text: cluster(name) }));
  assert.deepEqual(
    validateSources(sources).map(({ file, rule, name }) => [file, rule, name]),
    [
      ['a.yaml', 'CL11', 'a'],
      ['b.yaml', 'CL11', 'b'],
    ],
  );
  assert.deepEqual(validateSources(sources.slice(0, 1)), []);
});

for (const [title, text] of [
  ['nothing', ''],
  ['a template', 'kind: {{ .Values.kind }}\n'],
  [
    'a bomb of aliases',
    `a: &a [x,x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.replaceAll(/./g, (k) => `${k}: &${k} [${`*${String.fromCharCode(k.charCodeAt(0) - 1)},`.repeat(10)}]\n`)}`,
  ],
  ['an ObjectStore of another API', 'apiVersion: other.example/v1\nkind: ObjectStore\n'],
  ['a list of documents', '- kind: ObjectStore\n'],
] as const) {
  test(`${title} is no reason to fall over`, () => {
    assert.ok(validateText(text).every(({ rule }) => rule === undefined));
  });
}

const MAIN = join(import.meta.dirname, '..', 'main.ts');
const USAGE = join(import.meta.dirname, '..', 'test', 'fixtures', 'usage');

function run(args: string[], input = '') {
  return spawnSync(process.execPath, [MAIN, 'validate', ...args], { input, encoding: 'utf8', cwd: USAGE });
}

test('the documents of the usage page are judged from files and from standard input, with a status for pipelines', () => {
  const good = run(['-f', 'object-store.yaml', '-f', 'cluster.yaml']);
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /^object-store\.yaml:\d+: warning: spec\.retentionPolicy: missing/m);
  const bad = run(['-'], STORE);
  assert.equal(bad.status, 1);
  assert.match(bad.stdout, /^-:10: error: spec\.configuration\.serverName: found "other": use/m);
  const absent = run(['cluster.yaml', '-f', 'nowhere.yaml']);
  assert.equal(absent.status, 2);
  assert.match(absent.stderr, /^nowhere\.yaml: /);
  assert.equal(run([]).status, 2);
  assert.equal(run(['-o', 'xml', 'cluster.yaml']).status, 2);
});

test('a folder stands for its files, and programs read JSON', () => {
  const { status, stdout } = run(['-f', '.', '-o', 'json']);
  assert.equal(status, 1);
  const findings: { file: string; rule: string }[] = JSON.parse(stdout);
  const unfinished = findings.filter(({ file }) => file === 'instance-sidecar.yaml').map(({ rule }) => rule);
  assert.deepEqual(unfinished, ['A1', 'A8', 'A8', 'A8', 'A8', 'F4']);
});
