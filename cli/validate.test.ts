import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { validateText } from './validate.ts';

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

test('text that is no YAML is told with its line', () => {
  const [finding] = validateText('kind: ObjectStore\nspec: {a: [1\n');
  assert.equal(finding?.severity, 'error');
  assert.ok((finding?.line ?? 0) >= 2);
});

test('the documents of the usage page are judged from files and from standard input, with a status for pipelines', () => {
  const main = join(import.meta.dirname, '..', 'main.ts');
  const usage = join(import.meta.dirname, '..', 'test', 'fixtures', 'usage');
  const run = (args: string[], input = '') =>
    spawnSync(process.execPath, [main, ...args], { input, encoding: 'utf8', cwd: usage });
  const good = run(['validate', 'object-store.yaml', 'cluster.yaml']);
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /^object-store\.yaml:\d+: warning: spec\.retentionPolicy: missing/m);
  assert.equal(run(['validate', '-'], STORE).status, 1);
  assert.equal(run(['validate', 'nowhere.yaml']).status, 2);
  assert.equal(run(['validate']).status, 2);
  assert.ok(readFileSync(join(usage, 'object-store.yaml'), 'utf8').includes('kind: ObjectStore'));
});
